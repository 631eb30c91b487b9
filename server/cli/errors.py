"""Error messages of the commands."""

import sys

from retrieval.api import DatabaseFault
from server.core.errors import ApiError


def print_error(error: Exception | str) -> None:
    """On standard error, without a traceback."""
    print(f"stoa: {_explain(error)}", file=sys.stderr)


def _explain(error: Exception | str) -> str:
    match error:
        case ApiError():
            return error.message
        case DatabaseFault():
            return f"{error} ({error.detail})"
        case _:
            return str(error)
