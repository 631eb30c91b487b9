"""From the wire types of server tools, which chat completions and responses share, to those of a GenerationRequest."""

from collections.abc import Sequence
from dataclasses import replace

from server.api.common import tool_types as wire
from server.api.common.search.filters import to_filter, to_weights
from server.core.messages import Json
from server.core.request import ApprovalPolicy, FileSearch, McpToolset, ToolFilter

# the schema of a function without `parameters`
NO_PARAMETERS: Json = {"type": "object", "properties": {}, "additionalProperties": False}


def to_file_search(tool: wire.FileSearchTool, field: str) -> FileSearch:
    """`field`: where the request has the tool. Raises ApiError."""
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
    """`already_listed`: the client has the list of its tools from an earlier response."""
    return McpToolset(
        server_label=tool.server_label,
        field=field,
        allowed=_to_tool_filter(tool.allowed_tools),
        approval_policy=_to_approval_policy(tool.require_approval),
        already_listed=already_listed,
        description=tool.server_description or "",
        named_tools=_named_tools(tool.allowed_tools, f"{field}.allowed_tools"),
    )


def restrict(server: McpToolset, allowed: Sequence[wire.McpChoice]) -> McpToolset | None:
    """Keeps the tools that `allowed` names, or all where it has the server without a tool name. None: no tool is left."""
    choices = [choice.name for choice in allowed if choice.server_label == server.server_label]
    if not choices or None in choices:
        return server if choices else None
    before = server.allowed or ToolFilter()
    names = frozenset(name for name in choices if name is not None and (before.names is None or name in before.names))
    return replace(
        server, allowed=replace(before, names=names), named_tools=(*server.named_tools, *((name, "tool_choice") for name in sorted(names)))
    )


def _to_tool_filter(tools: list[str] | wire.ToolNames | None) -> ToolFilter | None:
    if tools is None:
        return None
    if isinstance(tools, list):
        return ToolFilter(names=frozenset(tools))
    if tools.tool_names is None and tools.read_only is None:
        return ToolFilter(names=frozenset())
    return ToolFilter(names=None if tools.tool_names is None else frozenset(tools.tool_names), read_only=tools.read_only)


def _named_tools(tools: list[str] | wire.ToolNames | None, field: str) -> tuple[tuple[str, str], ...]:
    """Names of tools, each with the field that has it."""
    if isinstance(tools, wire.ToolNames):
        return _named_tools(tools.tool_names, f"{field}.tool_names")
    return tuple((name, f"{field}.{i}") for i, name in enumerate(tools or ()))


def _to_approval_policy(approval: str | wire.Approvals | None) -> ApprovalPolicy:
    match approval:
        case None:
            return ApprovalPolicy()
        case wire.Approvals():
            default = "writes" if approval.never is None else "always"
            return ApprovalPolicy(default=default, always=_to_tool_filter(approval.always), never=_to_tool_filter(approval.never))
        case _:
            return ApprovalPolicy(default="always" if approval == "always" else "never")
