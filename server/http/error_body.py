"""What goes wrong, in Anthropic's shape: {"type": "error", "error": {"type", "message"}, "request_id"}."""

import json

from server.core.errors import ApiError

ROOT = "/v1/messages"
KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def is_anthropic_path(path: str) -> bool:
    """Whether a path belongs to this API."""
    return path == ROOT or path.startswith(f"{ROOT}/")


def error_body(error: ApiError, request_id: str) -> bytes:
    """`request_id`: as the header request-id has it."""
    kind = KINDS.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
    return json.dumps({"type": "error", "error": {"type": kind, "message": error.message}, "request_id": request_id}).encode()
