"""Error messages of the commands."""

import sys

from server.core.errors import ApiError


def print_error(error: Exception | str) -> None:
    """On standard error, without a traceback."""
    print(f"stoa: {error.message if isinstance(error, ApiError) else error}", file=sys.stderr)
