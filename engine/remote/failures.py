"""What goes wrong with an upstream: it fails, so that another may do better, or it refuses what no other would take."""

import json
from typing import Any

import httpx

from engine.api import EngineError, EngineUnavailable, InvalidGrammar, PromptTooLong, QueueFull, Request, Unsupported

BUSY = frozenset({429, 503})
REFUSED = frozenset({400, 404, 413, 422})
SHOWN = 500  # characters of a message


class Failed(Exception):
    """Of one upstream. The message goes on after its name. `busy`: it has no room. `gone`: it cannot be reached."""

    def __init__(self, message: str, *, busy: bool = False, gone: bool = False) -> None:
        super().__init__(message)
        self.busy, self.gone = busy, gone

    def told(self, name: str) -> EngineError:
        return QueueFull(f"{name} {self}") if self.busy else EngineUnavailable(f"{name} {self}")


def of_transport(error: httpx.HTTPError) -> Failed:
    match error:
        case httpx.TimeoutException():
            return Failed("has not answered in time", gone=isinstance(error, httpx.ConnectTimeout))
        case httpx.ConnectError():
            return Failed("cannot be reached", gone=True)
        case _:
            return Failed("has closed the connection", gone=True)


def of_status(status: int, body: bytes, request: Request, name: str) -> Failed | EngineError:
    """Of an answer with an error status."""
    message, code = _explained(body)
    if status in REFUSED:
        return _refusal(f"{name}: {message}", code, request)
    if status in BUSY:
        return Failed(f"has no room: {message}", busy=True)
    if status in (401, 403):
        return Failed("does not take this server's key")
    return Failed(f"has failed ({status}): {message}")


def _refusal(message: str, code: str, request: Request) -> EngineError:
    """vLLM has no codes; what it says of a context is known by its words."""
    if code == "context_length_exceeded" or "maximum context length" in message:
        return PromptTooLong(message)
    if request.grammar is not None and (code in ("invalid_schema", "invalid_grammar") or "grammar" in message.lower()):
        return InvalidGrammar(message)
    return Unsupported(message)


def _explained(body: bytes) -> tuple[str, str]:
    """Message and code of an error in OpenAI's shape, or of an older one."""
    try:
        told = json.loads(body)
    except ValueError:
        return "it does not say why", ""
    return explained(told)


def explained(told: Any) -> tuple[str, str]:
    error = told.get("error", told) if isinstance(told, dict) else {"message": told}
    found = error if isinstance(error, dict) else {"message": error}
    return str(found.get("message") or "it does not say why")[:SHOWN], str(found.get("code") or "")
