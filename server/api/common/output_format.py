"""The grammar of the output, from the one field of the request that has it."""

import json
from collections.abc import Iterator
from typing import Any

from engine.api import Choice, Grammar, JsonObject, JsonSchema, Lark, Regex
from server.api.common.generation_types import FormatJsonObject, FormatJsonSchema, GenerationFields, StructuredOutputs
from server.api.common.llamacpp_types import LlamaCppFields
from server.api.common.vllm_types import VllmFields
from server.core.errors import bad_request
from server.text.gbnf import UnreadableGrammar, to_lark

Found = Iterator[tuple[str, Grammar]]  # fields and their grammars


def to_grammar(body: GenerationFields) -> Grammar | None:
    """None: the output is free. Raises ApiError for two grammars, and for a grammar together with ignore_eos, which would never end."""
    found = list(_grammars(body))
    if len(found) > 1:
        names = " and ".join(dict.fromkeys(name for name, _ in found))
        raise bad_request(found[0][0], f"{names}: only one grammar can be given")
    if found and body.ignore_eos:
        raise bad_request("ignore_eos", "ignore_eos cannot be combined with a response format: the format says where the answer ends")
    return found[0][1] if found else None


def grammar_field(body: GenerationFields) -> str:
    """The field that an error in the grammar names."""
    return next((name for name, _ in _grammars(body)), "response_format")


def _grammars(body: GenerationFields) -> Found:
    match body.response_format:
        case FormatJsonSchema(json_schema=wanted):
            yield "response_format", JsonSchema(schema=json.dumps(wanted.schema_), lenient=wanted.strict is not True)
        case FormatJsonObject(schema_=None):
            yield "response_format", JsonObject()
        case FormatJsonObject(schema_=schema):
            yield "response_format", JsonSchema(schema=json.dumps(schema), lenient=True)
        case _:
            pass
    if body.structured_outputs is not None:
        yield from _structured_outputs(body.structured_outputs)
    if isinstance(body, VllmFields):
        yield from _guided(body)
    if isinstance(body, LlamaCppFields):
        yield from _llamacpp(body)


def _structured_outputs(outputs: StructuredOutputs) -> Found:
    field = "structured_outputs"
    found = [
        *_schema(field, outputs.json_),
        *_text(field, outputs.regex, outputs.choice, outputs.grammar),
        *([(field, JsonObject())] if outputs.json_object else []),
    ]
    if not found:
        raise bad_request(field, f"{field} takes exactly one of json, regex, choice, grammar, json_object")
    yield from found


def _guided(body: VllmFields) -> Found:
    yield from _schema("guided_json", body.guided_json)
    yield from _text("guided_regex", body.guided_regex, None, None)
    yield from _text("guided_choice", None, body.guided_choice, None)
    yield from _text("guided_grammar", None, None, body.guided_grammar)


def _llamacpp(body: LlamaCppFields) -> Found:
    yield from _schema("json_schema", body.json_schema)
    yield from _text("grammar", None, None, body.grammar)


def _schema(field: str, schema: dict[str, Any] | str | None) -> Found:
    """A schema as an object, or as JSON text."""
    if isinstance(schema, str):
        try:
            json.loads(schema)
        except ValueError as error:
            raise bad_request(field, f"{field}: this is no JSON: {error}", "invalid_schema") from error
        yield field, JsonSchema(schema=schema)
    elif schema is not None:
        yield field, JsonSchema(schema=json.dumps(schema))


def _text(field: str, regex: str | None, choice: list[str] | None, grammar: str | None) -> Found:
    if regex is not None:
        yield field, Regex(pattern=regex)
    if choice is not None:
        yield field, Choice(options=tuple(choice))
    if grammar is not None:
        try:
            yield field, Lark(source=to_lark(grammar))
        except UnreadableGrammar as error:
            raise bad_request(field, f"{field}: {error}", "invalid_grammar") from error
