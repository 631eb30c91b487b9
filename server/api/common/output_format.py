"""The grammar of the output, from `response_format` or `structured_outputs`."""

import json

from engine.api import Choice, Grammar, JsonObject, JsonSchema, Regex
from server.api.common.generation_types import FormatJsonObject, FormatJsonSchema, GenerationFields, StructuredOutputs
from server.core.errors import bad_request


def to_grammar(body: GenerationFields) -> Grammar | None:
    """None: the output is free. Raises ApiError for two grammars, and for a grammar together with ignore_eos, which would never end."""
    grammars = [g for g in (_response_format(body), _structured_outputs(body.structured_outputs)) if g is not None]
    if len(grammars) > 1:
        raise bad_request("structured_outputs", "structured_outputs and response_format exclude each other")
    if grammars and body.ignore_eos:
        raise bad_request("ignore_eos", "ignore_eos cannot be combined with a response format: the format says where the answer ends")
    return grammars[0] if grammars else None


def grammar_field(body: GenerationFields) -> str:
    """The field that an error in the grammar names."""
    return "response_format" if body.structured_outputs is None else "structured_outputs"


def _response_format(body: GenerationFields) -> Grammar | None:
    match body.response_format:
        case FormatJsonSchema(json_schema=wanted):
            return JsonSchema(schema=json.dumps(wanted.schema_), lenient=wanted.strict is not True)
        case FormatJsonObject():
            return JsonObject()
        case _:
            return None


def _structured_outputs(outputs: StructuredOutputs | None) -> Grammar | None:
    if outputs is None:
        return None
    grammars: list[Grammar] = []
    if outputs.json_ is not None:
        grammars.append(JsonSchema(schema=json.dumps(outputs.json_)))
    if outputs.regex is not None:
        grammars.append(Regex(pattern=outputs.regex))
    if outputs.choice is not None:
        grammars.append(Choice(options=tuple(outputs.choice)))
    if len(grammars) != 1:
        raise bad_request("structured_outputs", "structured_outputs takes exactly one of json, regex, choice")
    return grammars[0]
