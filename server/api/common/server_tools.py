"""Tools that the server runs: from the wire types that chat completions and responses share to a Wish's."""

from collections.abc import Sequence
from dataclasses import replace

from server.api.common import tool_types as wire
from server.api.common.filters import to_filter, to_weights
from server.core.messages import Json
from server.core.request import ApprovalPolicy, FileSearch, McpToolset, ToolFilter

NO_PARAMETERS: Json = {"type": "object", "properties": {}, "additionalProperties": False}  # what a function without parameters takes


def to_file_search(tool: wire.FileSearchTool, field: str) -> FileSearch:
    """`field`: where the tool stands. Raises ApiError."""
    options = tool.ranking_options
    return FileSearch(
        stores=tuple(tool.vector_store_ids),
        limit=tool.max_num_results,
        filter=to_filter(tool.filters, f"{field}.filters"),
        threshold=options.score_threshold if options else None,
        weights=to_weights(options, f"{field}.ranking_options"),
        rerank=options is None or options.ranker != "none",
    )


def to_mcp_toolset(tool: wire.McpTool, field: str, *, already_listed: bool = False) -> McpToolset:
    """`listed`: the client has seen the list of its tools already."""
    return McpToolset(
        server_label=tool.server_label,
        field=field,
        allowed=_filter(tool.allowed_tools),
        approval_policy=_policy(tool.require_approval),
        already_listed=already_listed,
        description=tool.server_description or "",
        named_tools=_named(tool.allowed_tools, f"{field}.allowed_tools"),
    )


def restrict(server: McpToolset, allowed: Sequence[wire.McpChoice]) -> McpToolset | None:
    """With those of its tools alone that are allowed by name, or all where it is allowed as a whole. None: nothing of it is left."""
    named = [one.name for one in allowed if one.server_label == server.server_label]
    if not named or None in named:
        return server if named else None
    before = server.allowed or ToolFilter()
    names = frozenset(name for name in named if name is not None and (before.names is None or name in before.names))
    return replace(
        server, allowed=replace(before, names=names), named_tools=(*server.named_tools, *((name, "tool_choice") for name in sorted(names)))
    )


def _filter(given: list[str] | wire.ToolNames | None) -> ToolFilter | None:
    if given is None:
        return None
    if isinstance(given, list):
        return ToolFilter(names=frozenset(given))
    if given.tool_names is None and given.read_only is None:
        return ToolFilter(names=frozenset())
    return ToolFilter(names=None if given.tool_names is None else frozenset(given.tool_names), read_only=given.read_only)


def _named(given: list[str] | wire.ToolNames | None, field: str) -> tuple[tuple[str, str], ...]:
    if isinstance(given, wire.ToolNames):
        return _named(given.tool_names, f"{field}.tool_names")
    return tuple((name, f"{field}.{i}") for i, name in enumerate(given or ()))


def _policy(given: str | wire.Approvals | None) -> ApprovalPolicy:
    match given:
        case None:
            return ApprovalPolicy()
        case wire.Approvals():
            rest = "writes" if given.never is None else "always"
            return ApprovalPolicy(default=rest, always=_filter(given.always), never=_filter(given.never))
        case _:
            return ApprovalPolicy(default="always" if given == "always" else "never")
