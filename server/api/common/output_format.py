"""TODO."""

import json

from engine.api import Choice, Grammar, JsonObject, JsonSchema, Regex
from server.api.chat_completions.types import ChatRequest
from server.api.completions.types import CompletionRequest
from server.core.errors import bad_request
from server.http.fields import FormatJsonObject, FormatJsonSchema, StructuredOutputs

Body = ChatRequest | CompletionRequest


def grammar(body: Body) -> Grammar | None:
    """What the output must look like. Raises ApiError for two grammars, or one that may never end."""
    asked = [g for g in (_format(body), _structured(body.structured_outputs)) if g is not None]
    if len(asked) > 1:
        raise bad_request("structured_outputs", "structured_outputs and response_format exclude each other")
    if asked and body.ignore_eos:
        raise bad_request("ignore_eos", "ignore_eos cannot be combined with a response format: the format says where the answer ends")
    return asked[0] if asked else None


def grammar_field(body: Body) -> str:
    return "response_format" if body.structured_outputs is None else "structured_outputs"


def stops(body: Body) -> tuple[str, ...]:
    return () if body.stop is None else (body.stop,) if isinstance(body.stop, str) else tuple(body.stop)


def expect_stream_options(body: Body) -> bool:
    """Whether the stream shall end with the usage. Raises ApiError for options without a stream."""
    if body.stream_options is not None and not body.stream:
        raise bad_request("stream_options", "stream_options is only allowed with stream: true")
    return bool(body.stream_options and body.stream_options.include_usage)


def _format(body: Body) -> Grammar | None:
    match body.response_format:
        case FormatJsonSchema(json_schema=asked):
            return JsonSchema(schema=json.dumps(asked.schema_), lenient=asked.strict is not True)
        case FormatJsonObject():
            return JsonObject()
        case _:
            return None


def _structured(asked: StructuredOutputs | None) -> Grammar | None:
    if asked is None:
        return None
    found: list[Grammar] = []
    if asked.json_ is not None:
        found.append(JsonSchema(schema=json.dumps(asked.json_)))
    if asked.regex is not None:
        found.append(Regex(pattern=asked.regex))
    if asked.choice is not None:
        found.append(Choice(options=tuple(asked.choice)))
    if len(found) != 1:
        raise bad_request("structured_outputs", "structured_outputs takes exactly one of json, regex, choice")
    return found[0]
