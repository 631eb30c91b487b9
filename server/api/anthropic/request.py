"""From a request for a message to a Wish."""

import json
from collections.abc import Sequence
from dataclasses import replace

from engine.api import Grammar, JsonSchema
from server.api.anthropic import request_types as wire
from server.api.anthropic.history import sayings
from server.api.common.server_tools import to_search
from server.api.common.tool_types import FileSearchTool
from server.chat.grounding.grounding import default_search
from server.chat.tools.toolset import model_name
from server.core.errors import bad_request
from server.core.messages import NamedTools, Tool, ToolChoice
from server.core.request import FieldNames, FileSearch, GenerationRequest, McpToolset, SamplingParams, ToolFilter
from server.runtime.runtime import Runtime

SCHEME = "stoa://"  # of the operator's MCP servers: no other can be named


def to_wish(runtime: Runtime, body: wire.MessagesRequest) -> GenerationRequest:
    """Raises ApiError for what cannot be honoured."""
    knobs = SamplingParams(temperature=body.temperature, top_p=body.top_p, top_k=body.top_k)
    return replace(to_count(runtime, body), sampling=knobs, stop=tuple(body.stop_sequences or ()), max_tokens=body.max_tokens)


def to_count(runtime: Runtime, body: wire.CountRequest) -> GenerationRequest:
    """What the model would read. Raises ApiError."""
    said, tools, labels = sayings(body), body.tools or [], runtime.tool_host.labels if runtime.tool_host else ()
    search, at = _search(runtime, tools, body.tool_choice)
    mine = tuple(_tool(tool, f"tools.{i}") for i, tool in enumerate(tools) if isinstance(tool, wire.CustomTool))
    servers = _servers(body, labels)
    return GenerationRequest(
        model=body.model,
        messages=said.said,
        response_format=_form(body.output_config),
        reasoning_effort=_effort(body),
        tools=mine,
        mcp_servers=servers,
        file_search=search,
        tool_choice=_choice(body.tool_choice, mine, servers),
        parallel_tool_calls=not getattr(body.tool_choice, "disable_parallel_tool_use", False),
        earlier_calls=tuple(said.hosted),
        untrusted_context=said.cited,
        field_names=FieldNames(
            parameters="input_schema",
            file_search=at,
            response_format="output_config.format",
            max_tokens="max_tokens",
            reasoning_effort=_effort_field(body),
        ),
    )


def _tool(tool: wire.CustomTool, at: str) -> Tool:
    if tool.input_schema.get("type") != "object":
        raise bad_request(f"{at}.input_schema.type", f'{at}.input_schema.type: the schema of a tool\'s input must have "type": "object"')
    described, strict = tool.description or "", tool.strict is True
    return Tool(name=tool.name, description=described, parameters=tool.input_schema, strict=strict, field=at)


def _search(runtime: Runtime, tools: Sequence[wire.Tool], choice: wire.ToolChoice | None) -> tuple[FileSearch | None, str]:
    """And the field that it stands in."""
    found = [(i, tool) for i, tool in enumerate(tools) if isinstance(tool, FileSearchTool)]
    if not found:
        return default_search(runtime), "tools.0"
    if len(found) > 1:
        raise bad_request(f"tools.{found[1][0]}", f"tools.{found[1][0]}: there can only be one file_search")
    at = f"tools.{found[0][0]}"
    search = to_search(found[0][1], at)
    return None if isinstance(choice, wire.ChoiceNone) else search, at


def _servers(body: wire.CountRequest, labels: Sequence[str]) -> tuple[McpToolset, ...]:
    """Each once; those whose tools nobody names are offered with all of them."""
    sets: dict[str, tuple[str, wire.McpToolset]] = {}
    for i, tool in enumerate(body.tools or ()):
        if isinstance(tool, wire.McpToolset):
            if tool.mcp_server_name in sets:
                raise bad_request(f"tools.{i}.mcp_server_name", f"tools.{i}.mcp_server_name: there is a toolset of that server already")
            sets[tool.mcp_server_name] = (f"tools.{i}", tool)
    found: dict[str, McpToolset | None] = {}
    for i, server in enumerate(body.mcp_servers or ()):
        _expect_server(server, f"mcp_servers.{i}", labels)
        if server.name in found:
            raise bad_request(f"mcp_servers.{i}.name", f"mcp_servers.{i}.name: {server.name!r} is there twice")
        found[server.name] = _server(server, f"mcp_servers.{i}", sets.pop(server.name, None))
    for name, (at, _) in sets.items():
        raise bad_request(f"{at}.mcp_server_name", f"{at}.mcp_server_name: mcp_servers names no server {name!r}")
    return tuple(server for server in found.values() if server is not None)


def _expect_server(server: wire.McpServer, at: str, labels: Sequence[str]) -> None:
    if server.name not in labels or server.url != SCHEME + server.name:
        known = f"they are {', '.join(SCHEME + label for label in labels)}" if labels else "there are none"
        told = f"no MCP servers are called here but those that the operator has set up, each with its own name: {known}"
        raise bad_request(f"{at}.url", f"{at}.url: {told}", "mcp_server_not_found")


def _server(server: wire.McpServer, at: str, wanted: tuple[str, wire.McpToolset] | None) -> McpToolset | None:
    """None: it is switched off."""
    asked = server.tool_configuration
    if asked is not None and wanted is not None:
        raise bad_request(f"{at}.tool_configuration", f"{at}.tool_configuration: {wanted[0]} says already which tools are wanted")
    if asked is not None and asked.enabled is False:
        return None
    allowed = _enabled(wanted[1]) if wanted else _names(asked.allowed_tools if asked else None)
    return McpToolset(
        label=server.name, field=at, allowed=allowed, named_tools=_named(asked, at) if wanted is None else _switched_on(*wanted)
    )


def _enabled(tools: wire.McpToolset) -> ToolFilter:
    """What `configs` does not say of a tool, default_config does."""
    configs = tools.configs or {}
    if tools.default_config.enabled is False:
        return ToolFilter(names=frozenset(name for name, config in configs.items() if config.enabled))
    return ToolFilter(excluded=frozenset(name for name, config in configs.items() if config.enabled is False))


def _switched_on(at: str, tools: wire.McpToolset) -> tuple[tuple[str, str], ...]:
    return tuple((name, f"{at}.configs.{name}") for name, config in (tools.configs or {}).items() if config.enabled is not False)


def _named(asked: wire.ToolConfiguration | None, at: str) -> tuple[tuple[str, str], ...]:
    names = asked.allowed_tools if asked else None
    return tuple((name, f"{at}.tool_configuration.allowed_tools.{i}") for i, name in enumerate(names or ()))


def _names(given: Sequence[str] | None) -> ToolFilter | None:
    return None if given is None else ToolFilter(names=frozenset(given))


def _choice(asked: wire.ToolChoice | None, mine: Sequence[Tool], servers: Sequence[McpToolset]) -> ToolChoice:
    match asked:
        case wire.ChoiceAny():
            return "required"
        case wire.ChoiceTool():
            return NamedTools(names=_called(asked.name, mine, servers))
        case wire.ChoiceNone():
            return "none"
        case _:
            return "auto"


def _called(name: str, mine: Sequence[Tool], servers: Sequence[McpToolset]) -> tuple[str, ...]:
    """What the model knows it by. Which tools the servers have is not known yet: it is any of theirs that has the name."""
    if not servers or any(tool.name == name for tool in mine):
        return (name,)
    return tuple(model_name(server.label, name) for server in servers)


def _form(asked: wire.OutputConfig | None) -> Grammar | None:
    return JsonSchema(schema=json.dumps(asked.format.schema_)) if asked and asked.format else None


def _effort(body: wire.CountRequest) -> str | None:
    if isinstance(body.thinking, wire.ThinkingOff):
        return "none"
    asked = body.output_config.effort if body.output_config else None
    return asked or ("medium" if isinstance(body.thinking, wire.ThinkingOn) else None)


def _effort_field(body: wire.CountRequest) -> str:
    return "thinking" if body.output_config is None or body.output_config.effort is None else "output_config.effort"
