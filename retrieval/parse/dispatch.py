"""A file into the JSON that crosses the border. Runs in the child process, within its limits."""

import importlib
from collections.abc import Callable
from typing import IO

from retrieval.parse.common.draft import Draft
from retrieval.parse.formats import FORMATS
from retrieval.parse.limits import Limits, Refused
from retrieval.parse.sniff import sniff


def read(source: IO[bytes], filename: str, limits: Limits) -> dict[str, object]:
    """Raises Refused."""
    found = sniff(source, filename, limits)
    format = FORMATS[found.kind]
    draft = Draft(format.media, limits)
    draft.note(found.note)
    reader: Callable[[object, Draft], None] = importlib.import_module(format.reader).read
    try:
        reader(source if format.streamed else source.read(), draft)
    except (Refused, MemoryError):
        raise
    except RecursionError:
        raise Refused("the file is nested too deeply") from None
    except Exception as error:
        raise Refused(f"the file is damaged or not what it seems: {_said(error)}") from error
    return draft.done()


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
