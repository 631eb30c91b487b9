"""What the operator's MCP servers offer to one request, and why not what they do not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from server.chat.tools.approval_policy import filter_allows, matches
from server.chat.tools.toolset import Toolset, any_tool_of, model_name
from server.core.errors import ApiError, bad_request, unavailable
from server.core.messages import NamedTools, ToolChoice
from server.core.request import McpToolset
from server.core.tool_host import HostedTool, ToolHost, ToolHostError
from server.mcp.sanitize import approval_hint


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolListing:
    """Of one server. `error`: it could not be asked. `kept`: why tools that it has are not among `tools`, by their names."""

    toolset: McpToolset
    tools: tuple[HostedTool, ...] = ()
    withheld: Mapping[str, str] = field(default_factory=dict[str, str])
    error: str | None = None


async def list_tools(host: ToolHost, asked: McpToolset) -> ToolListing:
    """A tool that is not as it was approved stays away from the model, which would read what it says of itself now. Raises ApiError
    for a tool that the request names and the server does not have."""
    try:
        listed = await host.tools(asked.server_label)
    except ToolHostError as error:
        return ToolListing(toolset=asked, error=str(error))
    left_out = _left_out(host, asked.server_label)
    _expect_named(asked, listed, left_out)
    wanted = [tool for tool in listed if asked.allowed is None or matches(tool, asked.allowed)]
    return ToolListing(
        toolset=asked,
        tools=tuple(tool for tool in wanted if not tool.changed),
        withheld={
            **{tool.name: approval_hint(asked.server_label) for tool in wanted if tool.changed},
            **{name: why for name, why in left_out.items() if asked.allowed is None or filter_allows(asked.allowed, name)},
        },
    )


def expect_choice(field: str, choice: ToolChoice, box: Toolset, offerings: Sequence[ToolListing]) -> None:
    """Whether there is anything that the model may be made to call, now that all tools are known. Raises ApiError."""
    asked = box.resolve_choice(choice)
    if asked.names if isinstance(asked, NamedTools) else box.tools or asked != "required":
        return
    names = choice.names if isinstance(choice, NamedTools) else None
    raise next(filter(None, (_why_not(field, names, one) for one in offerings)), None) or bad_request(
        field, f"{field}: there is no such tool that could be called", "tool_not_found"
    )


def _left_out(host: ToolHost, label: str) -> Mapping[str, str]:
    return {name: why for status in host.status() if status.label == label for name, why in status.left_out.items()}


def _expect_named(asked: McpToolset, listed: Sequence[HostedTool], left_out: Mapping[str, str]) -> None:
    there = {tool.name for tool in listed}
    for name, at in asked.named_tools:
        if name not in there:
            why = f"leaves out its tool {name!r}: {left_out[name]}" if name in left_out else f"has no tool {name!r}"
            raise bad_request(at, f"{at}: the MCP server {asked.server_label} {why}", "tool_not_found")


def _why_not(field: str, names: Sequence[str] | None, one: ToolListing) -> ApiError | None:
    """`names`: as the model would know the tools; None: any would do. None: the server has nothing to do with it."""
    label = one.toolset.server_label
    if names is not None and not any(name.startswith(any_tool_of(label)[:-1]) for name in names):
        return None
    if one.error is not None:
        return unavailable(f"{field}: {one.error}", "mcp_server_unavailable")
    any_of = names is None or any_tool_of(label) in names
    for name, why in one.withheld.items():
        if any_of or model_name(label, name) in (names or ()):
            return bad_request(field, f"{field}: the tool {name!r} of the MCP server {label} cannot be called: {why}", "tool_not_found")
    return None
