"""From a request to what it wants of the model."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from engine.api import Grammar, JsonObject, JsonSchema
from server.api.common.generation_types import FormatJsonObject
from server.api.common.server_tools import to_search, to_server
from server.api.common.tool_types import FileSearchChoice, FileSearchTool, McpChoice, McpTool
from server.api.responses.context import Asked, Context
from server.api.responses.history import History, read
from server.api.responses.types import tools as wire
from server.api.responses.types.request import JsonSchemaFormat, ResponseRequest, TextOptions
from server.chat.grounding.grounding import default_search
from server.chat.tools.toolset import any_tool_of, model_name
from server.core.errors import bad_request
from server.core.messages import Json, Message, NamedTools, System, Tool, ToolChoice
from server.core.request import FieldNames, FileSearch, GenerationRequest, McpToolset, SamplingParams, ToolFilter
from server.runtime.runtime import Runtime

FIELDS = FieldNames(
    messages="input",
    parameters="parameters",
    response_format="text.format",
    max_tokens="max_output_tokens",
    reasoning_effort="reasoning.effort",
)
LOGPROBS = "message.output_text.logprobs"
ANYTHING: Json = {"type": "object", "properties": {}, "additionalProperties": False}  # of a function without parameters


def to_wish(runtime: Runtime, body: Asked, context: Context) -> GenerationRequest:
    """Raises ApiError for what cannot be honoured."""
    history = read(context.before, context.items)
    plain = GenerationRequest(
        model=body.model,
        messages=_sayings(body.instructions, history.sayings),
        response_format=_form(body.text),
        reasoning_effort=body.reasoning.effort if body.reasoning else None,
        tools=_functions(body.tools or []),
        mcp_servers=_servers(body.tools or [], history),
        file_search=_search(body.tools or []),
        parallel_tool_calls=body.parallel_tool_calls is not False,
        approval_decisions=tuple(history.pending),
        earlier_calls=tuple(history.earlier),
        untrusted_context=history.read,
        limits=runtime.tool_limits,
        truncate=body.truncation == "auto",
        field_names=replace(FIELDS, file_search=_search_field(body.tools or [])),
    )
    chosen = _chosen(plain, body.tool_choice)
    if not _has_search(body.tools or []):
        chosen = replace(chosen, file_search=default_search(runtime))
    return _spoken(chosen, body) if isinstance(body, ResponseRequest) else chosen


def _spoken(wish: GenerationRequest, body: ResponseRequest) -> GenerationRequest:
    """With all that says how the answer is to be generated."""
    limits = wish.limits if body.max_tool_calls is None else replace(wish.limits, max_calls=body.max_tool_calls)
    return replace(
        wish,
        sampling=_knobs(body),
        max_tokens=body.max_output_tokens,
        logprobs=_logprobs(body),
        template_kwargs=body.chat_template_kwargs or {},
        limits=limits,
    )


def _knobs(body: ResponseRequest) -> SamplingParams:
    return SamplingParams(
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        min_p=body.min_p,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        repetition_penalty=body.repetition_penalty,
        seed=body.seed,
    )


def _sayings(instructions: str | None, sayings: list[Message]) -> list[Message]:
    return [System(text=instructions), *sayings] if instructions else sayings


def _logprobs(body: ResponseRequest) -> int | None:
    if LOGPROBS in (body.include or ()):
        return body.top_logprobs or 0
    if body.top_logprobs:
        raise bad_request("top_logprobs", f"top_logprobs needs {LOGPROBS} in include")
    return None


def _form(text: TextOptions | None) -> Grammar | None:
    match text.format if text else None:
        case JsonSchemaFormat() as asked:
            return JsonSchema(schema=json.dumps(asked.schema_), lenient=asked.strict is not True)
        case FormatJsonObject():
            return JsonObject()
        case _:
            return None


def _functions(tools: Sequence[wire.Tool]) -> tuple[Tool, ...]:
    return tuple(_function(tool, f"tools.{i}") for i, tool in enumerate(tools) if isinstance(tool, wire.FunctionTool))


def _function(tool: wire.FunctionTool, field: str) -> Tool:
    described, strict = tool.description or "", tool.strict is True
    return Tool(name=tool.name, description=described, parameters=tool.parameters or ANYTHING, strict=strict, field=field)


def _has_search(tools: Sequence[wire.Tool]) -> bool:
    return any(isinstance(tool, FileSearchTool) for tool in tools)


def _search_field(tools: Sequence[wire.Tool]) -> str:
    return next((f"tools.{at}" for at, tool in enumerate(tools) if isinstance(tool, FileSearchTool)), "tools")


def _search(tools: Sequence[wire.Tool]) -> FileSearch | None:
    found = [(at, tool) for at, tool in enumerate(tools) if isinstance(tool, FileSearchTool)]
    if not found:
        return None
    if len(found) > 1:
        raise bad_request(
            f"tools.{found[1][0]}", f"tools.{found[1][0]}: there can be one file_search tool; name all its vector stores there"
        )
    at, tool = found[0]
    return to_search(tool, f"tools.{at}")


def _servers(tools: Sequence[wire.Tool], history: History) -> tuple[McpToolset, ...]:
    found = list[McpToolset]()
    for at, tool in enumerate(tools):
        if not isinstance(tool, McpTool):
            continue
        if any(other.server_label == tool.server_label for other in found):
            raise bad_request(f"tools.{at}.server_label", f"tools.{at}.server_label: {tool.server_label!r} is there twice")
        found.append(to_server(tool, f"tools.{at}", listed=tool.server_label in history.listed))
    return tuple(found)


def _chosen(wish: GenerationRequest, asked: wire.ToolChoice | None) -> GenerationRequest:
    match asked:
        case None:
            return wish
        case wire.AllowedTools():
            return _narrowed(wish, asked)
        case FileSearchChoice():
            if wish.file_search is None:
                raise bad_request("tool_choice", "tool_choice: there is no file_search tool")
            return wish
        case wire.FunctionChoice() | McpChoice():
            return replace(wish, tool_choice=_named(wish, asked, "tool_choice"))
        case "none":
            return replace(wish, tool_choice="none", file_search=None)
        case mode:
            return replace(wish, tool_choice=_mode(wish, mode))


def _mode(wish: GenerationRequest, mode: Literal["auto", "required"]) -> ToolChoice:
    """What is to be searched is searched whatever the model does."""
    return "auto" if wish.file_search is not None and not (wish.tools or wish.mcp_servers) else mode


def _named(wish: GenerationRequest, asked: wire.FunctionChoice | McpChoice, field: str) -> NamedTools:
    if isinstance(asked, wire.FunctionChoice):
        if asked.name not in {tool.name for tool in wish.tools}:
            raise bad_request(f"{field}.name", f"{field}.name: there is no function {asked.name!r} among the tools")
        return NamedTools(names=(asked.name,))
    if asked.server_label not in {server.server_label for server in wish.mcp_servers}:
        raise bad_request(f"{field}.server_label", f"{field}.server_label: there is no MCP server {asked.server_label!r} among the tools")
    return NamedTools(names=(model_name(asked.server_label, asked.name) if asked.name else any_tool_of(asked.server_label),))


def _narrowed(wish: GenerationRequest, asked: wire.AllowedTools) -> GenerationRequest:
    """As if the others were not there."""
    kept = [tool for tool in asked.tools if not isinstance(tool, FileSearchChoice)]
    for at, tool in enumerate(asked.tools):
        if not isinstance(tool, FileSearchChoice):
            _named(wish, tool, f"tool_choice.tools.{at}")
    names = {tool.name for tool in kept if isinstance(tool, wire.FunctionChoice)}
    servers = tuple(
        _open(server, [t for t in kept if isinstance(t, McpChoice) and t.server_label == server.server_label]) for server in wish.mcp_servers
    )
    narrowed = replace(
        wish,
        tools=tuple(tool for tool in wish.tools if tool.name in names),
        mcp_servers=tuple(server for server in servers if server is not None),
        file_search=wish.file_search if len(kept) < len(asked.tools) else None,
    )
    return replace(narrowed, tool_choice=_mode(narrowed, asked.mode))


def _open(server: McpToolset, asked: Sequence[McpChoice]) -> McpToolset | None:
    if not asked:
        return None
    names = None if any(one.name is None for one in asked) else frozenset(one.name for one in asked if one.name)
    before = server.allowed or ToolFilter()
    both = names if before.names is None else before.names if names is None else before.names & names
    named = (*server.named_tools, *((name, "tool_choice") for name in sorted(names or ())))
    return replace(server, allowed=replace(before, names=both), named_tools=named)
