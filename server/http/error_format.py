"""Error responses in the format of the API that was called: Anthropic's below ANTHROPIC_ROOT, Ollama's below OLLAMA_ROOT, elsewhere
OpenAI's."""

import json

from server.core.errors import ApiError

ANTHROPIC_ROOT = "/v1/messages"
OLLAMA_ROOT = "/api/"
ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def is_anthropic_path(path: str) -> bool:
    return path == ANTHROPIC_ROOT or path.startswith(f"{ANTHROPIC_ROOT}/")


def format_error(error: ApiError, path: str, request_id: str) -> bytes:
    """The JSON body for a request of `path`."""
    if path.startswith(OLLAMA_ROOT):
        return json.dumps({"error": error.message}).encode()
    return to_anthropic_error(error, request_id) if is_anthropic_path(path) else error.body()


def to_anthropic_error(error: ApiError, request_id: str) -> bytes:
    """{"type": "error", "error": {"type", "message", "details"}, "request_id"}; `request_id` is the one of the header request-id. The
    SDKs read details.error_code."""
    kind = ANTHROPIC_TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
    details = {} if error.code is None else {"details": {"error_code": error.code}}
    return json.dumps({"type": "error", "error": {"type": kind, "message": error.message, **details}, "request_id": request_id}).encode()
