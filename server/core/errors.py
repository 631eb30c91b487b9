"""Everything that goes wrong, in OpenAI's error shape: {"error": {"message", "type", "param", "code"}}."""

import json
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from engine.api import EngineError, EngineStopped, EngineUnavailable, InvalidGrammar, PromptTooLong, QueueFull, Unsupported
from retrieval.api import Conflict, DatabaseFault, KnowledgeError, NotFound, ReadOnly, Unreadable, WrongModel

T = TypeVar("T")
JsonPath = Sequence[int | str]
RETRY_LATER = {"Retry-After": "2"}
DO_NOT_RETRY = {"x-should-retry": "false"}  # the official clients go by it


@dataclass(eq=False)
class ApiError(Exception):
    """A response with an error status."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def body(self) -> bytes:
        return json.dumps({"error": self.error()}).encode()

    def error(self) -> dict[str, str | None]:
        return {"message": self.message, "type": _kind(self.status), "param": self.param, "code": self.code}


def bad_request(param: str | None, message: str, code: str | None = None) -> ApiError:
    """A 400 that names the field."""
    return ApiError(400, message, param, code)


def unavailable(message: str, code: str) -> ApiError:
    return ApiError(503, message, code=code, headers={"Retry-After": "1"})


def model_not_found(name: str, known: Sequence[str]) -> ApiError:
    return ApiError(404, f"the model {name!r} does not exist here; there is {', '.join(known)}", "model", "model_not_found")


@dataclass(frozen=True)
class ErrorFields:
    """The request's fields that an error of the engine is about."""

    prompt: str
    grammar: str


def from_engine_error(error: EngineError, blame: ErrorFields) -> ApiError:
    match error:
        case PromptTooLong():
            return bad_request(blame.prompt, f"{blame.prompt}: {error}", "context_length_exceeded")
        case InvalidGrammar():
            return bad_request(blame.grammar, f"{blame.grammar}: {error}", "invalid_schema")
        case QueueFull():
            return unavailable(str(error), "queue_full")
        case Unsupported():
            return bad_request(None, str(error), "unsupported")
        case EngineUnavailable():
            return unavailable(str(error), "engine_unavailable")
        case EngineStopped():
            return unavailable(str(error) or "the engine has stopped", "engine_stopped")
        case _:
            return ApiError(500, str(error) or "the engine failed", code="engine_error")


def from_knowledge_error(error: KnowledgeError) -> ApiError:
    match error:
        case NotFound():
            return ApiError(404, str(error), code=f"{error.what.replace(' ', '_')}_not_found")
        case ReadOnly():
            return ApiError(403, str(error), code="read_only")
        case WrongModel():
            return bad_request(None, str(error), "wrong_embedding_model")
        case Conflict():
            return bad_request(None, str(error), "conflict")  # no 409: clients would try again
        case Unreadable():
            return bad_request(None, str(error), error.code)
        case DatabaseFault():
            return _from_database_fault(error)
        case _:
            return ApiError(500, str(error) or "the knowledge base failed", code="knowledge_error")


def _from_database_fault(fault: DatabaseFault) -> ApiError:
    """507 (RFC 4918, 11.5) where there is no room left, else 503."""
    passing = fault.kind in ("unreachable", "busy")
    status = 507 if fault.kind == "full" else 503
    return ApiError(status, str(fault), code=f"database_{fault.kind}", headers=RETRY_LATER if passing else DO_NOT_RETRY)


def from_validation(error: ValidationError, body: bytes) -> ApiError:
    """From the most specific of pydantic's errors: the one deepest in the data; among those, one whose value had the right type."""
    complaints = error.errors(include_url=False, include_context=False)
    if complaints[0]["type"] == "json_invalid":
        return bad_request(None, f"the body is not valid JSON: {complaints[0]['msg'].removeprefix('Invalid JSON: ')}", "invalid_json")
    data = json.loads(body)
    found = [(_path_of(data, complaint), complaint) for complaint in complaints]
    path, complaint = max(found, key=lambda one: (len(one[0]), not one[1]["type"].endswith("_type")))
    name = ".".join(map(str, path)) or None
    return bad_request(name, f"{name or 'body'}: {complaint['msg']}", complaint["type"])


def from_fields(error: ValidationError) -> ApiError:
    """For a query string or form, which is flat."""
    complaint = error.errors(include_url=False, include_context=False)[0]
    name = ".".join(map(str, complaint["loc"][:1])) or None
    return bad_request(name, f"{name or 'query'}: {complaint['msg']}", complaint["type"])


def path_in(data: Any, location: Sequence[int | str]) -> list[int | str]:
    """Path of pydantic's `location` in `data`: without the names of union branches. Such a name may also be a key of the data ("text"):
    of all readings the longest counts, then the one whose steps come last."""
    if not location:
        return []
    step, *rest = location
    skipped = path_in(data, rest)
    taken = [step, *path_in(data[step], rest)] if _has(data, step) else []
    return taken if len(taken) > len(skipped) else skipped


def _path_of(data: Any, complaint: ErrorDetails) -> JsonPath:
    location = complaint["loc"]
    return [*path_in(data, location[:-1]), location[-1]] if complaint["type"] == "missing" and location else path_in(data, location)


def _has(data: Any, step: int | str) -> bool:
    if isinstance(step, int):
        return isinstance(data, list) and step < len(data)  # pyright: ignore[reportUnknownArgumentType]
    return isinstance(data, dict) and step in data


def _kind(status: int) -> str:
    known = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
    return known.get(status, "server_error" if status >= 500 else "invalid_request_error")


@contextmanager
def engine_errors_as_api_errors(blame: ErrorFields) -> Generator[None]:
    """Raises ApiError for an EngineError inside."""
    try:
        yield
    except EngineError as error:
        raise from_engine_error(error, blame) from error


async def map_engine_errors(items: AsyncGenerator[T], blame: ErrorFields) -> AsyncGenerator[T]:
    """The same items. Raises ApiError for an EngineError."""
    async with aclosing(items):
        with engine_errors_as_api_errors(blame):
            async for item in items:
                yield item
