"""Tools that the client runs, in the shapes of the Responses API, as functions that a model can call, and back.

A custom tool takes one text: the model calls it as a function with the parameter `input`. Tools of a namespace are called
NAMESPACE__NAME. Tools that nobody here can run are left out, with a warning, where there are others."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from server.api.common.hints import hosted_tool_warnings
from server.api.responses.types import tools as wire
from server.core.messages import Json, NamedTools, Tool
from server.core.request import GenerationRequest, RequestWarning

NO_PARAMETERS: Json = {"type": "object", "properties": {}, "additionalProperties": False}  # schema of a function without `parameters`
INPUT = "input"  # the parameter of a custom tool
CUSTOM_PARAMETERS: Json = {"type": "object", "properties": {INPUT: {"type": "string"}}, "required": [INPUT], "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class ClientTool:
    """How a call is sent to the client."""

    name: str
    namespace: str | None = None
    custom: bool = False  # as custom_tool_call, with one text


def model_tool_name(name: str, namespace: str | None) -> str:
    """What the model calls the tool."""
    return name if namespace is None else f"{namespace}__{name}"


def to_tools(tools: Sequence[wire.Tool]) -> tuple[Tool, ...]:
    return tuple(_to_tool(tool, field, client_tool) for field, tool, client_tool in _client_tools(tools))


def by_model_name(tools: Sequence[wire.Tool]) -> dict[str, ClientTool]:
    return {model_tool_name(tool.name, tool.namespace): tool for _, _, tool in _client_tools(tools)}


def custom_input(arguments: str) -> str:
    """The text of a call of a custom tool. `arguments` as they are where the call was cut off."""
    try:
        parsed = json.loads(arguments)
        return str(parsed[INPUT])
    except (ValueError, KeyError, TypeError):
        return arguments


def custom_arguments(text: str) -> str:
    return json.dumps({INPUT: text}, ensure_ascii=False)


def tool_warnings(tools: Sequence[wire.Tool]) -> Iterator[RequestWarning]:
    """Of tools that are left out, and of formats. Raises ApiError where none is left."""
    hosted = [(f"tools.{i}", tool.type) for i, tool in enumerate(tools) if isinstance(tool, wire.HostedTool)]
    yield from hosted_tool_warnings(hosted, len(tools))
    for field, tool, _ in _client_tools(tools):
        if isinstance(tool, wire.CustomTool) and tool.format is not None and tool.format.type == "grammar":
            yield RequestWarning(param=f"{field}.format", message=f"{field}.format has no effect: the text of a custom tool is free")


def without_namespaces(request: GenerationRequest, tools: Sequence[wire.Tool]) -> GenerationRequest | None:
    """Without the tools of namespaces, which clients offer beside others and which may be more than a small context holds; with a
    warning for each. None where there are none, or where the request wants a certain tool."""
    fields = [f"tools.{i}" for i, tool in enumerate(tools) if isinstance(tool, wire.NamespaceTool)]
    if not fields or isinstance(request.tool_choice, NamedTools):
        return None
    left = tuple(tool for tool in request.tools if not tool.field.startswith(tuple(f"{field}." for field in fields)))
    reason = "has no effect: with its tools the prompt does not fit the model's context"
    warnings = tuple(RequestWarning(param=field, message=f"{field} {reason}") for field in fields)
    return replace(request, tools=left, warnings=(*request.warnings, *warnings))


def _client_tools(tools: Sequence[wire.Tool]) -> Iterator[tuple[str, wire.FunctionTool | wire.CustomTool, ClientTool]]:
    """Each with its field in the request."""
    for i, tool in enumerate(tools):
        field = f"tools.{i}"
        match tool:
            case wire.FunctionTool() | wire.CustomTool():
                yield field, tool, _client_tool(tool, None)
            case wire.NamespaceTool():
                for j, inner in enumerate(tool.tools):
                    yield f"{field}.tools.{j}", inner, _client_tool(inner, tool.name)
            case _:
                pass


def _client_tool(tool: wire.FunctionTool | wire.CustomTool, namespace: str | None) -> ClientTool:
    return ClientTool(name=tool.name, namespace=namespace, custom=isinstance(tool, wire.CustomTool))


def _to_tool(tool: wire.FunctionTool | wire.CustomTool, field: str, client_tool: ClientTool) -> Tool:
    name, description = model_tool_name(client_tool.name, client_tool.namespace), tool.description or ""
    if isinstance(tool, wire.CustomTool):
        return Tool(name=name, description=description, parameters=CUSTOM_PARAMETERS, strict=False, field=field)
    return Tool(name=name, description=description, parameters=tool.parameters or NO_PARAMETERS, strict=tool.strict is True, field=field)
