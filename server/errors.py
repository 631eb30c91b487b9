"""Everything that goes wrong, in OpenAI's error shape: {"error": {"message", "type", "param", "code"}}."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from engine.api import EngineError, EngineStopped, InvalidGrammar, NoEmbeddingModel, PromptTooLong, QueueFull

JsonPath = Sequence[int | str]


@dataclass(eq=False)
class ApiError(Exception):
    """An answer that is not a 200."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def body(self) -> bytes:
        return json.dumps({"error": self.error()}).encode()

    def error(self) -> dict[str, str | None]:
        return {"message": self.message, "type": _kind(self.status), "param": self.param, "code": self.code}


def bad(param: str | None, message: str, code: str | None = None) -> ApiError:
    """A 400 that names the field."""
    return ApiError(400, message, param, code)


def unavailable(message: str, code: str) -> ApiError:
    return ApiError(503, message, code=code, headers={"Retry-After": "1"})


@dataclass(frozen=True)
class Blame:
    """The fields that hold what an engine may refuse."""

    prompt: str
    grammar: str


def from_engine(error: EngineError, blame: Blame) -> ApiError:
    match error:
        case PromptTooLong():
            return bad(blame.prompt, str(error), "context_length_exceeded")
        case InvalidGrammar():
            return bad(blame.grammar, str(error), "invalid_schema")
        case NoEmbeddingModel():
            return bad("model", str(error) or "no embedding model loaded", "no_embedding_model")
        case QueueFull():
            return unavailable(str(error), "queue_full")
        case EngineStopped():
            return unavailable(str(error) or "the engine has stopped", "engine_stopped")
        case _:
            return ApiError(500, str(error) or "the engine failed", code="engine_error")


def from_validation(error: ValidationError, body: bytes) -> ApiError:
    """The most specific of pydantic's complaints: of a union's branches, the one that got furthest into the data."""
    complaints = error.errors(include_url=False, include_context=False)
    if complaints[0]["type"] == "json_invalid":
        return bad(None, f"the body is not valid JSON: {complaints[0]['msg'].removeprefix('Invalid JSON: ')}", "invalid_json")
    data = json.loads(body)
    path, complaint = max(((_path(data, c), c) for c in complaints), key=lambda found: len(found[0]))
    name = ".".join(map(str, path)) or None
    return bad(name, f"{name or 'body'}: {complaint['msg']}", complaint["type"])


def _path(data: Any, complaint: ErrorDetails) -> JsonPath:
    """Where in `data` a complaint is: its location without the names of union branches."""
    path: list[int | str] = []
    for step in complaint["loc"]:
        if _has(data, step):
            data = data[step]
            path.append(step)
    return [*path, complaint["loc"][-1]] if complaint["type"] == "missing" else path


def _has(data: Any, step: int | str) -> bool:
    if isinstance(step, int):
        return isinstance(data, list) and step < len(data)  # pyright: ignore[reportUnknownArgumentType]
    return isinstance(data, dict) and step in data


def _kind(status: int) -> str:
    known = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
    return known.get(status, "server_error" if status >= 500 else "invalid_request_error")
