"""The request's tools by kind, and which of them the model may or must call."""

from dataclasses import dataclass, field

from server.api.chat_completions import tool_types as wire
from server.api.chat_completions.types import ChatRequest
from server.api.chat_completions.unsupported_types import CustomChoice, CustomTool
from server.api.common.server_tools import NO_PARAMETERS, restrict, to_file_search, to_mcp_toolset
from server.api.common.tool_types import FileSearchChoice, FileSearchTool, McpChoice, McpTool
from server.chat.tools.toolset import any_tool_of, model_name
from server.core.errors import bad_request
from server.core.messages import NamedTools, Tool, ToolChoice
from server.core.request import FileSearch, McpToolset, RequestWarning


@dataclass
class RequestTools:
    functions: list[Tool] = field(default_factory=list[Tool])
    mcp_servers: list[McpToolset] = field(default_factory=list[McpToolset])
    file_search: FileSearch | None = None
    file_search_field: str = "tools.0"  # where the request has it
    warnings: list[RequestWarning] = field(default_factory=list[RequestWarning])


def to_request_tools(body: ChatRequest) -> RequestTools:
    """Raises ApiError."""
    tools = RequestTools()
    for i, tool in enumerate(body.tools or ()):
        name = f"tools.{i}"
        match tool:
            case wire.FunctionTool(function=function):
                tools.functions.append(to_tool(function, name))
            case FileSearchTool():
                if tools.file_search is not None:
                    raise bad_request("tools", "tools: there can be one file_search; name all its stores in vector_store_ids")
                tools.file_search, tools.file_search_field = to_file_search(tool, name), name
            case McpTool():
                if tool.server_label in [server.server_label for server in tools.mcp_servers]:
                    raise bad_request(name, f"{name}: the MCP server {tool.server_label!r} is there twice")
                tools.mcp_servers.append(to_mcp_toolset(tool, name))
            case CustomTool():
                message = f"{name}: this server has no tools of type custom; describe a function with one string instead"
                raise bad_request(name, message, "unsupported")
    return tools


def to_tool_choice(body: ChatRequest, tools: RequestTools) -> ToolChoice:
    """Removes from `tools` what allowed_tools leaves out. Raises ApiError."""
    match body.tool_choice:
        case None:
            return "auto"
        case "required" if not (tools.functions or tools.mcp_servers):
            if tools.file_search is None:
                raise bad_request("tool_choice", "tool_choice: no tool is given that could be required")
            return "auto"  # the documents are searched in any case
        case str(mode):
            return mode
        case FileSearchChoice():
            if tools.file_search is None:
                raise bad_request("tool_choice", "tool_choice: there is no file_search among the tools")
            return "auto"
        case wire.AllowedToolsChoice(allowed_tools=allowed):
            return _restrict_to_allowed(allowed, tools)
        case choice:
            return NamedTools(names=(_model_name(choice),))


def to_tool(function: wire.Function, name: str) -> Tool:
    return Tool(
        name=function.name,
        description=function.description or "",
        parameters=NO_PARAMETERS if function.parameters is None else function.parameters,
        strict=function.strict is True,
        field=name,
    )


def _model_name(choice: wire.FunctionChoice | McpChoice | CustomChoice) -> str:
    """The name by which the model calls the tool."""
    if isinstance(choice, CustomChoice):
        return choice.custom.name  # no tool has it: custom tools are refused
    if isinstance(choice, wire.FunctionChoice):
        return choice.function.name
    return any_tool_of(choice.server_label) if choice.name is None else model_name(choice.server_label, choice.name)


def _restrict_to_allowed(allowed: wire.AllowedTools, tools: RequestTools) -> ToolChoice:
    names = {_model_name(choice) for choice in allowed.tools if not isinstance(choice, FileSearchChoice)}
    function_names = {choice.function.name for choice in allowed.tools if isinstance(choice, wire.FunctionChoice)}
    if unknown := sorted(function_names - {tool.name for tool in tools.functions}):
        raise bad_request("tool_choice", f"tool_choice: there is no tool {unknown[0]!r}")
    tools.functions = [tool for tool in tools.functions if tool.name in names]
    mcp_choices = [choice for choice in allowed.tools if isinstance(choice, McpChoice)]
    tools.mcp_servers = [left for server in tools.mcp_servers if (left := restrict(server, mcp_choices)) is not None]
    if not any(isinstance(choice, FileSearchChoice) for choice in allowed.tools):
        tools.file_search = None
    if allowed.mode == "auto":
        return "auto"
    return NamedTools(names=tuple(sorted(names))) if names else "auto"
