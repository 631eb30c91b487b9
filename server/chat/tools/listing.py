"""What the operator's MCP servers offer to one request, and why not what they do not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from server.chat.tools.approval_policy import holds, matches
from server.chat.tools.toolset import Toolbox, all_of, visible
from server.core.errors import ApiError, bad, unavailable
from server.core.messages import Named, ToolChoice
from server.core.request import McpTools
from server.core.tool_host import HostedTool, HostError, ToolHost
from server.mcp.sanitize import withheld


@dataclass(frozen=True, slots=True, kw_only=True)
class Offering:
    """Of one server. `error`: it could not be asked. `kept`: why tools that it has are not among `tools`, by their names."""

    asked: McpTools
    tools: tuple[HostedTool, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict[str, str])
    error: str | None = None


async def offered(host: ToolHost, asked: McpTools) -> Offering:
    """A tool that is not as it was approved stays away from the model, which would read what it says of itself now. Raises ApiError
    for a tool that the request names and the server does not have."""
    try:
        listed = await host.tools(asked.label)
    except HostError as error:
        return Offering(asked=asked, error=str(error))
    left_out = _left_out(host, asked.label)
    _expect_named(asked, listed, left_out)
    wanted = [tool for tool in listed if asked.allowed is None or matches(tool, asked.allowed)]
    return Offering(
        asked=asked,
        tools=tuple(tool for tool in wanted if not tool.changed),
        kept={
            **{tool.name: withheld(asked.label) for tool in wanted if tool.changed},
            **{name: why for name, why in left_out.items() if asked.allowed is None or holds(asked.allowed, name)},
        },
    )


def expect_choice(field: str, choice: ToolChoice, box: Toolbox, offerings: Sequence[Offering]) -> None:
    """Whether there is anything that the model may be made to call, now that all tools are known. Raises ApiError."""
    asked = box.choice(choice)
    if asked.names if isinstance(asked, Named) else box.tools or asked != "required":
        return
    names = choice.names if isinstance(choice, Named) else None
    raise next(filter(None, (_why_not(field, names, one) for one in offerings)), None) or bad(
        field, f"{field}: there is no such tool that could be called", "tool_not_found"
    )


def _left_out(host: ToolHost, label: str) -> Mapping[str, str]:
    return {name: why for status in host.status() if status.label == label for name, why in status.left_out.items()}


def _expect_named(asked: McpTools, listed: Sequence[HostedTool], left_out: Mapping[str, str]) -> None:
    there = {tool.name for tool in listed}
    for name, at in asked.named:
        if name not in there:
            why = f"leaves out its tool {name!r}: {left_out[name]}" if name in left_out else f"has no tool {name!r}"
            raise bad(at, f"{at}: the MCP server {asked.label} {why}", "tool_not_found")


def _why_not(field: str, names: Sequence[str] | None, one: Offering) -> ApiError | None:
    """`names`: as the model would know the tools; None: any would do. None: the server has nothing to do with it."""
    label = one.asked.label
    if names is not None and not any(name.startswith(all_of(label)[:-1]) for name in names):
        return None
    if one.error is not None:
        return unavailable(f"{field}: {one.error}", "mcp_server_unavailable")
    any_of = names is None or all_of(label) in names
    for name, why in one.kept.items():
        if any_of or visible(label, name) in (names or ()):
            return bad(field, f"{field}: the tool {name!r} of the MCP server {label} cannot be called: {why}", "tool_not_found")
    return None
