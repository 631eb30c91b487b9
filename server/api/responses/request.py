"""Converts a request to a GenerationRequest."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from engine.api import Grammar, JsonObject, JsonSchema
from server.api.common.generation import sampling_params
from server.api.common.generation_types import FormatJsonObject
from server.api.common.server_tools import to_file_search, to_mcp_toolset
from server.api.common.tool_types import FileSearchChoice, FileSearchTool, McpChoice, McpTool
from server.api.responses.client_tools import to_tools, tool_warnings
from server.api.responses.compaction.threshold import context_warnings
from server.api.responses.history import ChatHistory, read_history
from server.api.responses.include import LOGPROBS, include_warnings
from server.api.responses.resolved_input import ResolvedInput
from server.api.responses.types import tools as wire
from server.api.responses.types.request import InputTokensRequest, JsonSchemaFormat, ResponseRequest, TextOptions
from server.chat.grounding.grounding import default_search
from server.chat.tools.toolset import any_tool_of, model_name
from server.core.errors import bad_request
from server.core.messages import Message, NamedTools, System, ToolChoice
from server.core.request import FieldNames, FileSearch, GenerationRequest, McpToolset, RequestWarning, ToolFilter
from server.core.tool_limits import ToolLimits
from server.http.warnings import hint_warnings
from server.runtime.runtime import Runtime

FIELD_NAMES = FieldNames(
    messages="input",
    parameters="parameters",
    response_format="text.format",
    max_tokens="max_output_tokens",
    reasoning_effort="reasoning.effort",
)


def to_generation_request(runtime: Runtime, body: ResponseRequest | InputTokensRequest, resolved: ResolvedInput) -> GenerationRequest:
    """Raises ApiError for what this server cannot do."""
    history, tools = read_history(runtime, resolved), body.tools or []
    search, search_field = _file_search(tools)
    request = GenerationRequest(
        model=body.model,
        messages=_with_instructions(body.instructions, history.messages),
        response_format=_response_format(body.text),
        reasoning_effort=body.reasoning.effort if body.reasoning else None,
        tools=to_tools(tools),
        mcp_servers=_mcp_servers(tools, history),
        file_search=search,
        parallel_tool_calls=body.parallel_tool_calls is not False,
        approval_decisions=tuple(history.approval_decisions),
        earlier_calls=tuple(history.server_calls),
        untrusted_context=history.untrusted,
        truncate=body.truncation == "auto",
        warnings=(*hint_warnings(body), *tool_warnings(tools), *include_warnings(body), *_context_warnings(body)),
        field_names=replace(FIELD_NAMES, file_search=search_field),
    )
    request = _with_tool_choice(request, body.tool_choice)
    if search is None:
        request = replace(request, file_search=default_search(runtime))
    return _with_generation_options(request, body, runtime.tool_limits) if isinstance(body, ResponseRequest) else request


def _context_warnings(body: ResponseRequest | InputTokensRequest) -> Iterator[RequestWarning]:
    return context_warnings(body) if isinstance(body, ResponseRequest) else iter(())


def _with_generation_options(request: GenerationRequest, body: ResponseRequest, limits: ToolLimits) -> GenerationRequest:
    """Adds what the prompt does not depend on."""
    return replace(
        request,
        sampling=sampling_params(body),
        max_tokens=body.max_output_tokens,
        logprobs=_logprobs(body),
        template_kwargs=body.chat_template_kwargs or {},
        limits=None if body.max_tool_calls is None else replace(limits, max_calls=body.max_tool_calls),
    )


def _with_instructions(instructions: str | None, messages: list[Message]) -> list[Message]:
    return [System(text=instructions), *messages] if instructions else messages


def _logprobs(body: ResponseRequest) -> int | None:
    if LOGPROBS in (body.include or ()):
        return body.top_logprobs or 0
    if body.top_logprobs:
        raise bad_request("top_logprobs", f"top_logprobs needs {LOGPROBS} in include")
    return None


def _response_format(text: TextOptions | None) -> Grammar | None:
    match text.format if text else None:
        case JsonSchemaFormat() as format:
            return JsonSchema(schema=json.dumps(format.schema_), lenient=format.strict is not True)
        case FormatJsonObject():
            return JsonObject()
        case _:
            return None


def _file_search(tools: Sequence[wire.Tool]) -> tuple[FileSearch | None, str]:
    """Returns the search and the field that asks for it."""
    found = [(f"tools.{i}", tool) for i, tool in enumerate(tools) if isinstance(tool, FileSearchTool)]
    if not found:
        return None, "tools"
    if len(found) > 1:
        second, _ = found[1]
        raise bad_request(second, f"{second}: there can be one file_search tool; name all its vector stores there")
    field, tool = found[0]
    return to_file_search(tool, field), field


def _mcp_servers(tools: Sequence[wire.Tool], history: ChatHistory) -> tuple[McpToolset, ...]:
    found = list[McpToolset]()
    for i, tool in enumerate(tools):
        if not isinstance(tool, McpTool):
            continue
        if any(other.server_label == tool.server_label for other in found):
            raise bad_request(f"tools.{i}.server_label", f"tools.{i}.server_label: {tool.server_label!r} is there twice")
        found.append(to_mcp_toolset(tool, f"tools.{i}", already_listed=tool.server_label in history.listed_servers))
    return tuple(found)


def _with_tool_choice(request: GenerationRequest, choice: wire.ToolChoice | None) -> GenerationRequest:
    match choice:
        case None:
            return request
        case wire.AllowedTools():
            return _with_allowed_tools(request, choice)
        case FileSearchChoice():
            if request.file_search is None:
                raise bad_request("tool_choice", "tool_choice: there is no file_search tool")
            return request
        case wire.FunctionChoice() | wire.CustomChoice() | McpChoice():
            return replace(request, tool_choice=_named_tools(request, choice, "tool_choice"))
        case "none":
            return replace(request, tool_choice="none", file_search=None)
        case mode:
            return replace(request, tool_choice=_mode(request, mode))


def _mode(request: GenerationRequest, mode: Literal["auto", "required"]) -> ToolChoice:
    """A file search always runs, so "required" is fulfilled if it is the only tool."""
    return "auto" if request.file_search is not None and not (request.tools or request.mcp_servers) else mode


def _named_tools(request: GenerationRequest, choice: wire.FunctionChoice | wire.CustomChoice | McpChoice, field: str) -> NamedTools:
    """Raises ApiError for a function or server that is not among the request's tools."""
    if not isinstance(choice, McpChoice):
        if choice.name not in {tool.name for tool in request.tools}:
            raise bad_request(f"{field}.name", f"{field}.name: there is no function {choice.name!r} among the tools")
        return NamedTools(names=(choice.name,))
    label = choice.server_label
    if label not in {server.server_label for server in request.mcp_servers}:
        raise bad_request(f"{field}.server_label", f"{field}.server_label: there is no MCP server {label!r} among the tools")
    return NamedTools(names=(model_name(label, choice.name) if choice.name else any_tool_of(label),))


def _with_allowed_tools(request: GenerationRequest, choice: wire.AllowedTools) -> GenerationRequest:
    """Removes all tools that `choice` does not name."""
    allowed = [tool for tool in choice.tools if not isinstance(tool, FileSearchChoice)]
    for i, tool in enumerate(choice.tools):
        if not isinstance(tool, FileSearchChoice):
            _named_tools(request, tool, f"tool_choice.tools.{i}")
    function_names = {tool.name for tool in allowed if isinstance(tool, wire.FunctionChoice | wire.CustomChoice)}
    mcp_choices = [tool for tool in allowed if isinstance(tool, McpChoice)]
    servers = [
        _restrict_server(server, [c for c in mcp_choices if c.server_label == server.server_label]) for server in request.mcp_servers
    ]
    restricted = replace(
        request,
        tools=tuple(tool for tool in request.tools if tool.name in function_names),
        mcp_servers=tuple(server for server in servers if server is not None),
        file_search=request.file_search if len(allowed) < len(choice.tools) else None,
    )
    return replace(restricted, tool_choice=_mode(restricted, choice.mode))


def _restrict_server(server: McpToolset, choices: Sequence[McpChoice]) -> McpToolset | None:
    """The server with only the tools that `choices` name; None if there are no choices."""
    if not choices:
        return None
    names = None if any(choice.name is None for choice in choices) else frozenset(choice.name for choice in choices if choice.name)
    tool_filter = server.allowed or ToolFilter()
    both = names if tool_filter.names is None else tool_filter.names if names is None else tool_filter.names & names
    named = (*server.named_tools, *((name, "tool_choice") for name in sorted(names or ())))
    return replace(server, allowed=replace(tool_filter, names=both), named_tools=named)
