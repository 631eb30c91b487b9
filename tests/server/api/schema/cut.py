"""Cuts out of OpenAI's specification what its servers answer: python -m tests.server.api.schema.cut openapi.json

Keeps the schemas of the answers and events of the APIs that we serve, with all that they refer to, and leaves out what says nothing about
validity: descriptions, examples, titles."""

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[3] / "data" / "openai" / "schemas.json.gz"
PATHS = (
    "/audio/transcriptions",
    "/audio/translations",
    "/batches",
    "/chat/completions",
    "/completions",
    "/conversations",
    "/embeddings",
    "/files",
    "/images",
    "/models",
    "/moderations",
    "/responses",
    "/uploads",
    "/vector_stores",
)
MORE = ("BatchRequestInput", "BatchRequestOutput", "Error", "ErrorResponse", "ResponsesClientEvent", "ResponsesWebSocketStreamEvent")
NAMED = ("properties", "patternProperties")  # whose keys are names of fields, not keywords
KEPT = frozenset(
    {"$ref", "additionalProperties", "allOf", "anyOf", "const", "enum", "format", "items", "maxItems", "maxLength", "maximum", "minItems"}
    | {"minLength", "minimum", "nullable", "oneOf", "pattern", "properties", "required", "type"}
)
REF = "#/components/schemas/"

Json = Any


def cut(specification: Json) -> Json:
    """`schemas` by name; `answers`: schemas by media type of what is answered with success, by method and path."""
    schemas, answers = specification["components"]["schemas"], dict(_answers(specification["paths"]))
    left, found = [*_references(answers), *(name for name in MORE if name in schemas)], dict[str, Json]()
    while left:
        if (name := left.pop()) not in found:
            found[name] = _stripped(schemas[name])
            left += _references(found[name])
    return {"schemas": dict(sorted(found.items())), "answers": answers}


def _answers(paths: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in paths.items():
        if "?" in path or not any(path == known or path.startswith(f"{known}/") for known in PATHS):
            continue
        for method, operation in methods.items():
            answers = operation.get("responses", {}) if isinstance(operation, dict) else {}
            contents = [answer.get("content", {}) for status, answer in answers.items() if status.startswith("2")]
            yield f"{method.upper()} {path}", {kind: _stripped(one["schema"]) for found in contents for kind, one in found.items()}


def _references(schema: Json) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(ref := schema.get("$ref"), str) and ref.startswith(REF):
            yield ref.removeprefix(REF)
        schema = list(schema.values())
    if isinstance(schema, list):
        for inner in schema:
            yield from _references(inner)


def _stripped(schema: Json) -> Json:
    if isinstance(schema, list):
        return [_stripped(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key in KEPT}
    return {key: _fields(value) if key in NAMED else value if key in ("enum", "const") else _stripped(value) for key, value in kept.items()}


def _fields(properties: dict[str, Json]) -> dict[str, Json]:
    return {name: _stripped(schema) for name, schema in properties.items()}


def main(specification: str) -> None:
    text = json.dumps(cut(json.loads(Path(specification).read_text())), separators=(",", ":"))
    DATA.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main(*sys.argv[1:])
