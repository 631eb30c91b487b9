"""Parses a file into the JSON-compatible dict sent to the parent process. Runs in the forked child, under its limits."""

import importlib
from collections.abc import Callable
from typing import IO

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.formats import FORMATS
from retrieval.parse.limits import Limits, ParseError
from retrieval.parse.sniff import sniff


def read(source: IO[bytes], filename: str, limits: Limits) -> dict[str, object]:
    """Detects the format and runs its parser. Raises ParseError or MemoryError."""
    sniffed = sniff(source, filename, limits)
    format = FORMATS[sniffed.kind]
    builder = DocumentBuilder(format.media_type, limits)
    builder.add_note(sniffed.note)
    parse: Callable[[object, DocumentBuilder], None] = importlib.import_module(format.parser_module).read
    try:
        parse(source if format.streamed else source.read(), builder)
    except (ParseError, MemoryError):
        raise
    except RecursionError:
        raise ParseError("the file is nested too deeply") from None
    except Exception as error:
        raise ParseError(f"the file is damaged or not what it seems: {_describe(error)}") from error
    return builder.to_dict()


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
