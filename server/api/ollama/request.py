"""From requests of Ollama's API to the chat loop's."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from engine.api import Grammar, JsonObject, JsonSchema
from server.api.common.server_tools import NO_PARAMETERS
from server.api.ollama import types as wire
from server.chat.grounding.grounding import default_search
from server.core.errors import bad_request
from server.core.images import decoded
from server.core.messages import Assistant, Image, ImageData, Message, System, Tool, ToolCall, ToolResult, User
from server.core.request import FieldNames, GenerationRequest, OutputOptions, RequestWarning, SamplingParams
from server.http.warnings import hint_warnings
from server.runtime.runtime import Runtime

FIELD_NAMES = FieldNames(response_format="format", max_tokens="options.num_predict", reasoning_effort="think")


def model_name(name: str) -> str:
    """Without the tag that Ollama's clients add."""
    return name.removesuffix(":latest")


def chat_request(runtime: Runtime, body: wire.OllamaChatRequest) -> GenerationRequest:
    """Raises ApiError."""
    tools = tuple(_tool(tool.function, f"tools.{i}") for i, tool in enumerate(body.tools or ()))
    messages = to_messages(body.messages or ())
    last = messages[-1] if messages else None
    is_begun = isinstance(last, Assistant) and bool(last.text) and not last.tool_calls
    return replace(_request(runtime, body, messages, tools), prompt_end="continued" if is_begun else "answer")


def generate_request(runtime: Runtime, body: wire.GenerateRequest) -> GenerationRequest:
    """Raises ApiError."""
    system = [System(text=body.system)] if body.system else []
    return _request(runtime, body, [*system, User(text=body.prompt or "", images=_images(body.images, "images"))], ())


def to_messages(messages: Sequence[wire.Message]) -> list[Message]:
    """Calls without ids get some; an output belongs to the call of its id or name, else to the earliest without one. Raises ApiError."""
    found, open_calls = list[Message](), list[ToolCall]()
    for i, message in enumerate(messages):
        if message.images and message.role not in ("user", "tool"):
            raise bad_request(f"messages.{i}.images", f"messages.{i}.images: only users and tools show images", "unsupported")
        match message.role:
            case "system" | "developer":
                found.append(System(text=message.content or ""))
            case "user":
                found.append(User(text=message.content or "", images=_images(message.images, f"messages.{i}.images")))
            case "assistant":
                calls = tuple(_tool_call(call, f"call_{i}_{j}") for j, call in enumerate(message.tool_calls or ()))
                open_calls += calls
                found.append(Assistant(text=message.content or "", reasoning=message.thinking or "", tool_calls=calls))
            case "tool":
                call = _answered(message, open_calls, f"messages.{i}")
                open_calls.remove(call)
                images = _images(message.images, f"messages.{i}.images")
                found.append(ToolResult(call_id=call.id, name=call.name, text=message.content or "", images=images))
    return found


def _images(given: Sequence[str] | None, field: str) -> tuple[Image, ...]:
    """Raises ApiError."""
    found = ((f"{field}.{place}", data) for place, data in enumerate(given or ()))
    return tuple(Image(content=ImageData(decoded(data, name)), field=name) for name, data in found)


def sampling_params(options: wire.Options | None) -> SamplingParams:
    if options is None:
        return SamplingParams()
    return SamplingParams(
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        seed=options.seed,
        repetition_penalty=options.repeat_penalty,
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
    )


def output_options(options: wire.Options | None) -> OutputOptions:
    stop = options.stop if options else None
    return OutputOptions(stop=() if stop is None else (stop,) if isinstance(stop, str) else tuple(stop))


def max_tokens(options: wire.Options | None) -> int | None:
    """None: to the end of the context. Raises ApiError."""
    wanted = options.num_predict if options else None
    if wanted == 0:
        raise bad_request("options.num_predict", "options.num_predict: must be 1 or more, or -1")
    return None if wanted is None or wanted < 0 else wanted


def to_grammar(format: wire.Format | None) -> Grammar | None:
    match format:
        case None | "":
            return None
        case "json":
            return JsonObject()
        case schema:
            return JsonSchema(schema=json.dumps(schema), lenient=True)


def logprobs(body: wire.GenerationFields) -> int | None:
    """How many alternatives per token; None: no log probabilities. Raises ApiError."""
    if body.top_logprobs and not body.logprobs:
        raise bad_request("top_logprobs", "top_logprobs needs logprobs: true")
    return (body.top_logprobs or 0) if body.logprobs else None


def option_warnings(runtime: Runtime, options: wire.Options | None) -> Iterator[RequestWarning]:
    """Of options without an effect. Raises ApiError for a context that the server does not have."""
    if options is None:
        return
    context = runtime.engine.info.context
    if options.num_ctx is not None and options.num_ctx > context:
        raise bad_request("options.num_ctx", f"options.num_ctx: this server reads {context} tokens at once, prompt and answer together")
    ignored = [*(["num_ctx"] if options.num_ctx is not None else []), *(options.model_extra or {})]
    for name in ignored:
        yield RequestWarning(param=f"options.{name}", message=f"options.{name} has no effect: it is the server's to choose")


def _request(
    runtime: Runtime, body: wire.OllamaChatRequest | wire.GenerateRequest, messages: Sequence[Message], tools: tuple[Tool, ...]
) -> GenerationRequest:
    return GenerationRequest(
        model=model_name(body.model),
        messages=messages,
        sampling=sampling_params(body.options),
        output=output_options(body.options),
        max_tokens=max_tokens(body.options),
        response_format=to_grammar(body.format),
        reasoning_effort=_effort(body.think),
        tools=tools,
        file_search=default_search(runtime),
        logprobs=logprobs(body),
        truncate=isinstance(body, wire.OllamaChatRequest) and body.truncate is not False,
        warnings=(*hint_warnings(body), *option_warnings(runtime, body.options)),
        field_names=replace(FIELD_NAMES, prompt_end=f"messages.{len(messages) - 1}"),
    )


def _effort(think: wire.Think | None) -> str | None:
    return think if think is None or isinstance(think, str) else "on" if think else "none"


def _tool(function: wire.Function, field: str) -> Tool:
    return Tool(
        name=function.name,
        description=function.description or "",
        parameters=NO_PARAMETERS if function.parameters is None else function.parameters,
        strict=function.strict is True,
        field=field,
    )


def _tool_call(call: wire.ToolCall, id: str) -> ToolCall:
    given = call.function.arguments
    arguments = given if isinstance(given, str) else json.dumps(given or {}, ensure_ascii=False)
    return ToolCall(id=call.id or id, name=call.function.name, arguments=arguments)


def _answered(message: wire.Message, open_calls: Sequence[ToolCall], field: str) -> ToolCall:
    name = message.tool_name or message.name
    for call in open_calls:
        if message.tool_call_id in (None, call.id) and name in (None, call.name):
            return call
    raise bad_request(field, f"{field}: there is no tool call without an output before it that it could belong to")
