"""openapi.json, from the endpoints and their types."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from server.endpoint import Endpoint
from server.openai.common import Error

Json = dict[str, Any]
REF = "#/components/schemas/{model}"
EVENT = {"type": "object", "required": ["data"], "properties": {"data": {"type": "string", "description": "A chunk, as JSON, or [DONE]"}}}
MEANING = {
    400: "A field is wrong, unknown or not supported; `param` names it",
    401: "No key, or an unknown one",
    403: "Not under this host name",
    404: "There is no such model",
    405: "There is no such method",
    408: "The body did not arrive in time",
    413: "The body is too large",
    415: "The body is not application/json",
    503: "Not ready, draining, or the queue is full",
}


def document(endpoints: Sequence[Endpoint], version: str, *, keys: bool) -> Json:
    """`keys`: whether the server asks for one."""
    models = {model for e in endpoints for model in (e.body, e.answer) if model is not None} | {Error}
    named = sorted(models, key=lambda model: (model.__module__, model.__name__))
    refs, defs = models_json_schema([(model, _mode(endpoints, model)) for model in named], ref_template=REF)
    schemas = {model: refs[model, _mode(endpoints, model)] for model in named}
    paths: Json = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas, keys and not endpoint.open)
    components: Json = {"schemas": defs["$defs"]}
    if keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return {"openapi": "3.1.0", "info": {"title": "Stoa", "version": version}, "paths": paths, "components": components}


def _mode(endpoints: Sequence[Endpoint], model: type[BaseModel]) -> Any:
    return "validation" if any(e.body is model for e in endpoints) else "serialization"


def _operation(endpoint: Endpoint, schemas: dict[type[BaseModel], Json], keys: bool) -> Json:
    errors = sorted({*endpoint.errors, *((401,) if keys else () if endpoint.open else (403,))})
    failures = {str(status): _response(MEANING[status], "application/json", schemas[Error]) for status in errors}
    operation: Json = {"summary": endpoint.summary, "responses": {"200": _success(endpoint, schemas), **failures}}
    if endpoint.parameters:
        operation["parameters"] = [_parameter(name, meaning) for name, meaning in endpoint.parameters.items()]
    if endpoint.body:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schemas[endpoint.body]}}}
    if keys:
        operation["security"] = [{"key": []}]
    return operation


def _success(endpoint: Endpoint, schemas: dict[type[BaseModel], Json]) -> Json:
    if endpoint.answer is None:
        return _response("Done", "text/plain", {"type": "string"})
    found = _response("Done", "application/json", schemas[endpoint.answer])
    if endpoint.streams:
        found["content"]["text/event-stream"] = {"schema": EVENT}
    return found


def _response(meaning: str, media: str, schema: Json) -> Json:
    return {"description": meaning, "content": {media: {"schema": schema}}}


def _parameter(name: str, meaning: str) -> Json:
    return {"name": name, "in": "path", "required": True, "description": meaning, "schema": {"type": "string", "minLength": 1}}
