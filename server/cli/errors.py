"""Error messages of the commands."""

import logging
import os
import sys
from typing import NoReturn

from retrieval.api import DatabaseFault
from server.core.errors import ApiError


def print_error(error: Exception | str) -> None:
    """On standard error, without a traceback."""
    print(f"stoa: {_explain(error)}", file=sys.stderr)


def end_at_once(status: int) -> NoReturn:
    """Ends the process without waiting for threads: one that is still in native code, loading a model, would abort it instead."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _explain(error: Exception | str) -> str:
    match error:
        case ApiError():
            return error.message
        case DatabaseFault():
            return f"{error} ({error.detail})"
        case _:
            return str(error)
