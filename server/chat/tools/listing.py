"""Listing the tools of MCP servers for a request, and why some of them cannot be called."""

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
    """The tools of one server. `withheld`: reasons, by tool name, why others are not offered. `error`: why it could not be asked."""

    toolset: McpToolset
    tools: tuple[HostedTool, ...] = ()
    withheld: Mapping[str, str] = field(default_factory=dict[str, str])
    error: str | None = None


async def list_tools(host: ToolHost, requested: McpToolset) -> ToolListing:
    """A tool that changed since the operator approved it is withheld, because the model would read its new description. Raises ApiError
    for a tool that the request names and the server does not have."""
    try:
        listed = await host.tools(requested.server_label)
    except ToolHostError as error:
        return ToolListing(toolset=requested, error=str(error))
    left_out = _left_out_tools(host, requested.server_label)
    _expect_named(requested, listed, left_out)
    matching = [tool for tool in listed if requested.allowed is None or matches(tool, requested.allowed)]
    return ToolListing(
        toolset=requested,
        tools=tuple(tool for tool in matching if not tool.changed),
        withheld={
            **{tool.name: approval_hint(requested.server_label) for tool in matching if tool.changed},
            **{name: reason for name, reason in left_out.items() if requested.allowed is None or filter_allows(requested.allowed, name)},
        },
    )


def expect_choice(field: str, choice: ToolChoice, available: Toolset, listings: Sequence[ToolListing]) -> None:
    """Raises ApiError if tool_choice requires a call and no such tool is available."""
    requested = available.resolve_choice(choice)
    if requested.names if isinstance(requested, NamedTools) else available.tools or requested != "required":
        return
    names = choice.names if isinstance(choice, NamedTools) else None
    raise next(filter(None, (_why_uncallable(field, names, listing) for listing in listings)), None) or bad_request(
        field, f"{field}: there is no such tool that could be called", "tool_not_found"
    )


def _left_out_tools(host: ToolHost, label: str) -> Mapping[str, str]:
    return {name: reason for status in host.status() if status.label == label for name, reason in status.left_out.items()}


def _expect_named(requested: McpToolset, listed: Sequence[HostedTool], left_out: Mapping[str, str]) -> None:
    existing = {tool.name for tool in listed}
    for name, place in requested.named_tools:
        if name not in existing:
            reason = f"leaves out its tool {name!r}: {left_out[name]}" if name in left_out else f"has no tool {name!r}"
            raise bad_request(place, f"{place}: the MCP server {requested.server_label} {reason}", "tool_not_found")


def _why_uncallable(field: str, names: Sequence[str] | None, listing: ToolListing) -> ApiError | None:
    """`names`: of the required tools, as the model knows them; None: any tool. Returns None if this server is not the reason."""
    label = listing.toolset.server_label
    if names is not None and not any(name.startswith(any_tool_of(label)[:-1]) for name in names):
        return None
    if listing.error is not None:
        return unavailable(f"{field}: {listing.error}", "mcp_server_unavailable")
    any_name = names is None or any_tool_of(label) in names
    for name, reason in listing.withheld.items():
        if any_name or model_name(label, name) in (names or ()):
            return bad_request(field, f"{field}: the tool {name!r} of the MCP server {label} cannot be called: {reason}", "tool_not_found")
    return None
