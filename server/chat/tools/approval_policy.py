"""Which calls of server tools need the user's approval."""

from server.core.request import ApprovalPolicy, ToolFilter
from server.core.tool_host import HostedTool


def filter_allows(wanted: ToolFilter, name: str) -> bool:
    """Whether the filter lets a tool of this name pass."""
    return name not in wanted.excluded and (wanted.names is None or name in wanted.names)


def matches(tool: HostedTool, wanted: ToolFilter) -> bool:
    return filter_allows(wanted, tool.name) and (wanted.read_only is None or wanted.read_only == tool.read_only)


def needs_approval(tool: HostedTool, policy: ApprovalPolicy, *, tainted: bool) -> bool:
    """As the request's policy says. Besides, a tool that may write needs approval once the model has read untrusted text (`tainted`);
    only the operator can lift that, by allowing the tool."""
    harmless = tool.read_only or tool.allowed_by_operator
    return (tainted and not harmless) or _asked_for(tool, policy)


def _asked_for(tool: HostedTool, policy: ApprovalPolicy) -> bool:
    if policy.always is not None and matches(tool, policy.always):
        return True
    if policy.never is not None and matches(tool, policy.never):
        return False
    match policy.default:
        case "always":
            return True
        case "never":
            return False
        case "writes":
            return not (tool.read_only or tool.allowed_by_operator)
