"""A file into the JSON that crosses the border. Runs in the child process, within its limits."""

import importlib
from collections.abc import Callable
from typing import IO

from retrieval.parse.draft import Draft
from retrieval.parse.limits import Limits, Refused
from retrieval.parse.sniff import MEDIA, sniff

FROM_FILE = ("pdf", "word", "slides", "workbook", "epub")  # readers that take the open file; the others take its bytes


def read(source: IO[bytes], filename: str, limits: Limits) -> dict[str, object]:
    """Raises Refused."""
    found = sniff(source, filename, limits)
    draft = Draft(MEDIA[found.kind], limits)
    draft.note(found.note)
    reader: Callable[[object, Draft], None] = importlib.import_module(f"retrieval.parse.{found.kind}").read
    try:
        reader(source if found.kind in FROM_FILE else source.read(), draft)
    except (Refused, MemoryError):
        raise
    except RecursionError:
        raise Refused("the file is nested too deeply") from None
    except Exception as error:
        raise Refused(f"the file is damaged or not what it seems: {_said(error)}") from error
    return draft.done()


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
