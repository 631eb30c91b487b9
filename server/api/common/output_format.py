"""The grammar of the output, from the one field of the request that has it."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from engine.api import Choice, Grammar, JsonObject, JsonSchema, Lark, Regex
from server.api.common.generation_types import (
    FormatJsonObject,
    FormatJsonSchema,
    GenerationFields,
    JsonSchemaFormat,
    StructuredOutputs,
)
from server.api.common.llamacpp_types import LlamaCppFields
from server.api.common.vllm_types import VllmFields
from server.core.errors import bad_request
from server.text.grammars.gbnf import UnreadableGrammar, to_lark

T = TypeVar("T")
Make = Callable[[], Grammar]  # raises ApiError
Found = Iterator[tuple[str, Make]]  # fields, and what makes their grammars: writing out a large schema takes milliseconds


def to_grammar(body: GenerationFields) -> Grammar | None:
    """None: the output is free. Raises ApiError for two grammars, and for a grammar together with ignore_eos, which would never end."""
    found = list(_grammars(body))
    if len(found) > 1:
        names = " and ".join(dict.fromkeys(name for name, _ in found))
        raise bad_request(found[0][0], f"{names}: only one grammar can be given")
    if found and body.ignore_eos:
        raise bad_request("ignore_eos", "ignore_eos cannot be combined with a response format: the format says where the answer ends")
    return found[0][1]() if found else None


def grammar_field(body: GenerationFields) -> str:
    """The field that an error in the grammar names."""
    return next((name for name, _ in _grammars(body)), "response_format")


def _grammars(body: GenerationFields) -> Found:
    match body.response_format:
        case FormatJsonSchema(schema_=dict() as schema):
            yield "response_format", partial(_schema, "response_format", schema, lenient=True)
        case FormatJsonSchema(json_schema=JsonSchemaFormat() as wanted):
            yield "response_format", partial(_schema, "response_format", wanted.schema_, lenient=wanted.strict is not True)
        case FormatJsonObject(schema_=None):
            yield "response_format", JsonObject
        case FormatJsonObject(schema_=dict() as schema):
            yield "response_format", partial(_schema, "response_format", schema, lenient=True)
        case _:
            pass
    if body.structured_outputs is not None:
        yield from _structured_outputs(body.structured_outputs)
    if isinstance(body, VllmFields):
        yield from _each("guided_json", body.guided_json, _schema)
        yield from _each("guided_regex", body.guided_regex, _regex)
        yield from _each("guided_choice", body.guided_choice, _choice)
        yield from _each("guided_grammar", body.guided_grammar, _lark)
    if isinstance(body, LlamaCppFields):
        yield from _each("json_schema", body.json_schema, _schema)
        yield from _each("grammar", body.grammar, _lark)


def _structured_outputs(outputs: StructuredOutputs) -> Found:
    field = "structured_outputs"
    found = [
        *_each(field, outputs.json_, _schema),
        *_each(field, outputs.regex, _regex),
        *_each(field, outputs.choice, _choice),
        *_each(field, outputs.grammar, _lark),
        *([(field, JsonObject)] if outputs.json_object else []),
    ]
    if not found:
        raise bad_request(field, f"{field} takes exactly one of json, regex, choice, grammar, json_object")
    yield from found


def _each(field: str, value: T | None, make: Callable[[str, T], Grammar]) -> Found:
    if value is not None:
        yield field, partial(make, field, value)


def _schema(field: str, schema: dict[str, Any] | str, *, lenient: bool = False) -> Grammar:
    """A schema as an object, or as JSON text."""
    if isinstance(schema, dict):
        return JsonSchema(schema=json.dumps(schema), lenient=lenient)
    try:
        json.loads(schema)
    except ValueError as error:
        raise bad_request(field, f"{field}: this is no JSON: {error}", "invalid_schema") from error
    return JsonSchema(schema=schema, lenient=lenient)


def _regex(field: str, pattern: str) -> Grammar:
    return Regex(pattern=pattern)


def _choice(field: str, options: list[str]) -> Grammar:
    return Choice(options=tuple(options))


def _lark(field: str, source: str) -> Grammar:
    try:
        return Lark(source=to_lark(source))
    except UnreadableGrammar as error:
        raise bad_request(field, f"{field}: {error}", "invalid_grammar") from error
