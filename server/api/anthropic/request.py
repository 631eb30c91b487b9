"""Converts a request for a message to a GenerationRequest."""

import json
from collections.abc import Sequence
from dataclasses import replace

from engine.api import Grammar, JsonSchema
from server.api.anthropic import request_types as wire
from server.api.anthropic.history import read_history
from server.api.common.hints import hosted_tool_warnings
from server.api.common.server_tools import to_file_search
from server.api.common.tool_types import FileSearchTool
from server.chat.grounding.grounding import default_search
from server.chat.tools.toolset import model_name
from server.core.errors import bad_request
from server.core.messages import NamedTools, Tool, ToolChoice
from server.core.request import (
    FieldNames,
    FileSearch,
    GenerationRequest,
    McpToolset,
    OutputOptions,
    SamplingParams,
    ToolFilter,
)
from server.http.warnings import hint_warnings
from server.runtime.runtime import Runtime

URL_SCHEME = "stoa://"  # of the operator's MCP servers, the only ones that a request can name


def to_generation_request(runtime: Runtime, body: wire.MessagesRequest) -> GenerationRequest:
    """Raises ApiError for what this server cannot do."""
    sampling = SamplingParams(temperature=body.temperature, top_p=body.top_p, top_k=body.top_k)
    request = to_prompt_request(runtime, body)
    output = replace(request.output, stop=tuple(body.stop_sequences or ()))
    return replace(request, sampling=sampling, output=output, max_tokens=body.max_tokens)


def to_prompt_request(runtime: Runtime, body: wire.CountRequest) -> GenerationRequest:
    """Only what the prompt depends on. Raises ApiError."""
    history, tools, labels = read_history(body), body.tools or [], runtime.tool_host.labels if runtime.tool_host else ()
    search, search_field = _file_search(runtime, tools, body.tool_choice)
    client_tools = tuple(_client_tool(tool, f"tools.{i}") for i, tool in enumerate(tools) if isinstance(tool, wire.CustomTool))
    servers = _mcp_servers(body, labels)
    hosted = [(f"tools.{i}", tool.type) for i, tool in enumerate(tools) if isinstance(tool, wire.HostedTool)]
    return GenerationRequest(
        model=body.model,
        messages=history.messages,
        prompt_end="continued" if history.is_begun else "answer",
        response_format=_response_format(body.output_config),
        reasoning_effort=_reasoning_effort(body),
        thinking_budget=body.thinking.budget_tokens if isinstance(body.thinking, wire.ThinkingEnabled) else None,
        output=OutputOptions(show_reasoning=getattr(body.thinking, "display", None) != "omitted"),
        tools=client_tools,
        mcp_servers=servers,
        file_search=search,
        tool_choice=_tool_choice(body.tool_choice, client_tools, servers),
        parallel_tool_calls=not getattr(body.tool_choice, "disable_parallel_tool_use", False),
        earlier_calls=tuple(history.server_calls),
        untrusted_context=history.has_citations,
        warnings=(*hint_warnings(body), *history.warnings, *hosted_tool_warnings(hosted, len(tools))),
        field_names=FieldNames(
            parameters="input_schema",
            file_search=search_field,
            response_format="output_config.format",
            max_tokens="max_tokens",
            reasoning_effort=_effort_field(body),
            thinking_budget="thinking.budget_tokens",
            prompt_end=f"messages.{len(body.messages) - 1}",
        ),
    )


def _client_tool(tool: wire.CustomTool, field: str) -> Tool:
    if tool.input_schema.get("type") != "object":
        name = f"{field}.input_schema.type"
        raise bad_request(name, f'{name}: the schema of a tool\'s input must have "type": "object"')
    description, strict = tool.description or "", tool.strict is True
    return Tool(name=tool.name, description=description, parameters=tool.input_schema, strict=strict, field=field)


def _file_search(runtime: Runtime, tools: Sequence[wire.Tool], choice: wire.ToolChoice | None) -> tuple[FileSearch | None, str]:
    """Returns the search and the field that asks for it."""
    found = [(i, tool) for i, tool in enumerate(tools) if isinstance(tool, FileSearchTool)]
    if not found:
        return default_search(runtime), "tools.0"
    if len(found) > 1:
        raise bad_request(f"tools.{found[1][0]}", f"tools.{found[1][0]}: there can only be one file_search")
    field = f"tools.{found[0][0]}"
    search = to_file_search(found[0][1], field)
    return None if isinstance(choice, wire.ChoiceNone) else search, field


def _mcp_servers(body: wire.CountRequest, labels: Sequence[str]) -> tuple[McpToolset, ...]:
    """Each of `mcp_servers`, with the tools that its toolset in `tools` selects; without a toolset, with all of its tools."""
    toolsets: dict[str, tuple[str, wire.McpToolset]] = {}  # server name -> field and toolset
    for i, tool in enumerate(body.tools or ()):
        if isinstance(tool, wire.McpToolset):
            if tool.mcp_server_name in toolsets:
                raise bad_request(f"tools.{i}.mcp_server_name", f"tools.{i}.mcp_server_name: there is a toolset of that server already")
            toolsets[tool.mcp_server_name] = (f"tools.{i}", tool)
    found: dict[str, McpToolset | None] = {}
    for i, server in enumerate(body.mcp_servers or ()):
        _expect_known_server(server, f"mcp_servers.{i}", labels)
        if server.name in found:
            raise bad_request(f"mcp_servers.{i}.name", f"mcp_servers.{i}.name: {server.name!r} is there twice")
        found[server.name] = _mcp_toolset(server, f"mcp_servers.{i}", toolsets.pop(server.name, None))
    for name, (field, _) in toolsets.items():
        raise bad_request(f"{field}.mcp_server_name", f"{field}.mcp_server_name: mcp_servers names no server {name!r}")
    return tuple(server for server in found.values() if server is not None)


def _expect_known_server(server: wire.McpServer, field: str, labels: Sequence[str]) -> None:
    if server.name not in labels or server.url != URL_SCHEME + server.name:
        known = f"they are {', '.join(URL_SCHEME + label for label in labels)}" if labels else "there are none"
        reason = f"no MCP servers are called here but those that the operator has set up, each with its own name: {known}"
        raise bad_request(f"{field}.url", f"{field}.url: {reason}", "mcp_server_not_found")


def _mcp_toolset(server: wire.McpServer, field: str, toolset: tuple[str, wire.McpToolset] | None) -> McpToolset | None:
    """`toolset`: the one in `tools`, with its field. Returns None if the server is disabled."""
    config = server.tool_configuration
    if config is not None and toolset is not None:
        name = f"{field}.tool_configuration"
        raise bad_request(name, f"{name}: {toolset[0]} says already which tools are wanted")
    if config is not None and config.enabled is False:
        return None
    if toolset is not None:
        return McpToolset(
            server_label=server.name, field=field, allowed=_enabled_tools(toolset[1]), named_tools=_named_in_toolset(*toolset)
        )
    names = config.allowed_tools if config else None
    allowed = None if names is None else ToolFilter(names=frozenset(names))
    named = tuple((name, f"{field}.tool_configuration.allowed_tools.{i}") for i, name in enumerate(names or ()))
    return McpToolset(server_label=server.name, field=field, allowed=allowed, named_tools=named)


def _enabled_tools(toolset: wire.McpToolset) -> ToolFilter:
    """A tool without a value in `configs` has that of default_config."""
    configs = toolset.configs or {}
    if toolset.default_config.enabled is False:
        return ToolFilter(names=frozenset(name for name, config in configs.items() if config.enabled))
    return ToolFilter(excluded=frozenset(name for name, config in configs.items() if config.enabled is False))


def _named_in_toolset(field: str, toolset: wire.McpToolset) -> tuple[tuple[str, str], ...]:
    return tuple((name, f"{field}.configs.{name}") for name, config in (toolset.configs or {}).items() if config.enabled is not False)


def _tool_choice(choice: wire.ToolChoice | None, client_tools: Sequence[Tool], servers: Sequence[McpToolset]) -> ToolChoice:
    match choice:
        case wire.ChoiceAny():
            return "required"
        case wire.ChoiceTool():
            return NamedTools(names=_model_names(choice.name, client_tools, servers))
        case wire.ChoiceNone():
            return "none"
        case _:
            return "auto"


def _model_names(name: str, client_tools: Sequence[Tool], servers: Sequence[McpToolset]) -> tuple[str, ...]:
    """The names that the model knows the tool by. The servers' tools are not listed yet, so it may be a tool of any of them."""
    if not servers or any(tool.name == name for tool in client_tools):
        return (name,)
    return tuple(model_name(server.server_label, name) for server in servers)


def _response_format(config: wire.OutputConfig | None) -> Grammar | None:
    return JsonSchema(schema=json.dumps(config.format.schema_)) if config and config.format else None


def _reasoning_effort(body: wire.CountRequest) -> str | None:
    if isinstance(body.thinking, wire.ThinkingDisabled):
        return "none"
    effort = body.output_config.effort if body.output_config else None
    return effort or ("on" if isinstance(body.thinking, wire.ThinkingEnabled) else None)


def _effort_field(body: wire.CountRequest) -> str:
    return "thinking" if body.output_config is None or body.output_config.effort is None else "output_config.effort"
