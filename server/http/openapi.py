"""openapi.json, from the endpoints and their types."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from server.core.messages import Json
from server.http.endpoint import Bytes, Endpoint, Form, StreamType

REF_TEMPLATE = "#/components/schemas/{model}"
EVENT_DATA = {"type": "string", "description": "A chunk, as JSON, or [DONE]"}
STREAM_SCHEMAS: dict[StreamType, Json] = {
    "text/event-stream": {"type": "object", "required": ["data"], "properties": {"data": EVENT_DATA}},
    "application/x-ndjson": {"type": "string", "description": "Pieces of the answer, a line of JSON each; the last is `done`"},
}
STATUS_DESCRIPTIONS = {
    400: "A field is wrong, unknown or not supported; `param` names it",
    401: "No key, or an unknown one",
    403: "Not under this host name, not from this origin, or what the operator made, which can only be read",
    404: "There is no such thing, or it belongs to another key",
    405: "There is no such method",
    408: "The body did not arrive in time",
    413: "The body is too large",
    415: "The body is not of the type that is wanted",
    503: "Not ready, draining, or the queue is full",
}


def document(endpoints: Sequence[Endpoint], version: str, *, keys: bool) -> Json:
    """Returns the OpenAPI document. `keys`: whether the server requires API keys."""
    models = {model for e in endpoints for model in (*_request_models(e), *_response_models(e), e.error)}
    named = sorted(models, key=lambda model: (model.__module__, model.__name__))
    refs, defs = models_json_schema(
        [(model, _mode(endpoints, model)) for model in named], ref_template=REF_TEMPLATE, schema_generator=_SchemaGenerator
    )
    schemas = {model: refs[model, _mode(endpoints, model)] for model in named}
    paths: Json = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas, keys and not endpoint.open)
    components: Json = {"schemas": defs["$defs"]}
    if keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return {"openapi": "3.1.0", "info": {"title": "Stoa", "version": version}, "paths": paths, "components": components}


class _SchemaGenerator(GenerateJsonSchema):
    """In responses every field is required, also those with defaults, except the OMIT_NONE ones, which are optional and never null."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        if self.mode == "serialization":
            return "serialization_exclude_if" not in field
        return super().field_is_required(field, total)

    def model_field_schema(self, schema: core_schema.ModelField) -> Json:
        inner: Any = schema["schema"]
        while inner["type"] == "default":
            inner = inner["schema"]
        if self.mode == "serialization" and "serialization_exclude_if" in schema and inner["type"] == "nullable":
            return self.generate_inner(inner["schema"])
        return super().model_field_schema(schema)


def _request_models(endpoint: Endpoint) -> list[type[BaseModel]]:
    model = endpoint.body.or_json if isinstance(endpoint.body, Form) else endpoint.body
    return [] if model is None else [model]


def _response_models(endpoint: Endpoint) -> list[type[BaseModel]]:
    return [endpoint.answer] if endpoint.answer is not None and not isinstance(endpoint.answer, Bytes) else []


def _mode(endpoints: Sequence[Endpoint], model: type[BaseModel]) -> Any:
    return "validation" if any(model in _request_models(e) for e in endpoints) else "serialization"


def _operation(endpoint: Endpoint, schemas: dict[type[BaseModel], Json], keys: bool) -> Json:
    errors = sorted({*endpoint.errors, *((401,) if keys else () if endpoint.open else (403,))})
    failures = {str(status): _response(STATUS_DESCRIPTIONS[status], "application/json", schemas[endpoint.error]) for status in errors}
    operation: Json = {"summary": endpoint.summary, "responses": {"200": _success(endpoint, schemas), **failures}}
    if parameters := [*_path_parameters(endpoint), *_query_parameters(endpoint)]:
        operation["parameters"] = parameters
    if endpoint.body:
        operation["requestBody"] = {"required": True, "content": _content(endpoint.body, schemas)}
    if keys:
        operation["security"] = [{"key": []}]
    return operation


def _content(body: type[BaseModel] | Form, schemas: dict[type[BaseModel], Json]) -> Json:
    if not isinstance(body, Form):
        return {"application/json": {"schema": schemas[body]}}
    schema = _nest_properties(body.fields.model_json_schema())
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    schema["properties"] = {body.file: file, **dict.fromkeys(body.more, file), **schema["properties"]}
    schema["required"] = [body.file, *schema.get("required", ())]
    content = {"multipart/form-data": {"schema": schema}}
    return content if body.or_json is None else content | {"application/json": {"schema": schemas[body.or_json]}}


def _nest_properties(schema: Json) -> Json:
    """From the form field names "object[field]" to a schema with nested objects. A name may be given as it is, too."""
    properties, nested = dict[str, Json](), dict[str, Json]()
    for name, value in schema["properties"].items():
        outer, _, inner = name.removesuffix("]").partition("[")
        if inner:
            nested.setdefault(outer, {})[inner] = _drop_null(value)
        else:
            properties[name] = value
    for name, fields in nested.items():
        whole = {"type": "object", "properties": fields}
        properties[name] = {"anyOf": [_drop_null(properties[name]), whole]} if name in properties else whole
    return {**schema, "properties": properties}


def _success(endpoint: Endpoint, schemas: dict[type[BaseModel], Json]) -> Json:
    if isinstance(endpoint.answer, Bytes):
        return _response("The file", "application/octet-stream", {"type": "string", "format": "binary"})
    if endpoint.answer is None:
        return _response("Done", "text/plain", {"type": "string"})
    response = _response("Done", "application/json", schemas[endpoint.answer])
    if endpoint.streams:
        response["content"][endpoint.streams] = {"schema": STREAM_SCHEMAS[endpoint.streams]}
    if endpoint.plain:
        response["content"]["text/plain"] = {"schema": {"type": "string"}}
    return response


def _response(description: str, media_type: str, schema: Json) -> Json:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _path_parameters(endpoint: Endpoint) -> list[Json]:
    schema = {"type": "string", "minLength": 1}
    return [
        {"name": name, "in": "path", "required": True, "description": description, "schema": schema}
        for name, description in endpoint.parameters.items()
    ]


def _query_parameters(endpoint: Endpoint) -> list[Json]:
    if endpoint.query is None:
        return []
    schema = endpoint.query.model_json_schema()
    required = schema.get("required", ())
    properties = {name: _drop_null(inner) for name, inner in schema["properties"].items()}
    return [{"name": n, "in": "query", "required": n in required, "schema": s, **_style(s)} for n, s in properties.items()]


def _style(schema: Json) -> Json:
    """Objects are written as name[field]=value."""
    return {"style": "deepObject", "explode": True} if schema.get("type") == "object" else {}


def _drop_null(schema: Json) -> Json:
    """Query parameters and form fields may be left out, but cannot be null."""
    types = [type_schema for type_schema in schema.get("anyOf", ()) if type_schema != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "title", "default")}
    return {**rest, **(types[0] if len(types) == 1 else {"anyOf": types} if types else {})}
