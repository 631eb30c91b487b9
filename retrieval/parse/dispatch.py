"""Parses a file into the JSON-compatible dict sent to the parent process. Runs in the forked child, under its limits."""

import importlib
import io
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import IO

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.formats import FORMATS
from retrieval.parse.limits import Limits, ParseError
from retrieval.parse.sniff import SniffedFormat, sniff


def read(source: IO[bytes], filename: str, limits: Limits) -> dict[str, object]:
    """Detects the format and runs its parser. Raises ParseError or MemoryError."""
    sniffed = sniff(source, filename, limits)
    builder = DocumentBuilder(FORMATS[sniffed.kind].media_type, limits)
    _parse(source, sniffed, builder)
    _name_pictures(filename, builder, 0)
    return builder.to_dict()


def read_part(data: bytes, filename: str, builder: DocumentBuilder) -> None:
    """A file within the file. What cannot be read is left out, with a note. Raises MemoryError."""
    try:
        sniffed = sniff(io.BytesIO(data), filename, builder.limits)
        with builder.part(filename, len(data)):
            before = builder.size
            _parse(io.BytesIO(data), sniffed, builder)
            _name_pictures(filename, builder, before)
    except ParseError as error:
        builder.add_note(f"{filename} was left out: {error}")


def _name_pictures(filename: str, builder: DocumentBuilder, before: int) -> None:
    """A document of pictures alone is found by the words of its name, too."""
    if builder.pictures and builder.size == before:
        builder.page = None
        builder.add_block("paragraph", re.sub(r"[_\-\s]+", " ", PurePosixPath(filename).stem).strip() or filename)


def _parse(source: IO[bytes], sniffed: SniffedFormat, builder: DocumentBuilder) -> None:
    format = FORMATS[sniffed.kind]
    builder.add_note(sniffed.note)
    parse: Callable[[object, DocumentBuilder], None] = importlib.import_module(format.parser_module).read
    try:
        parse(source if format.streamed else source.read(), builder)
    except (ParseError, MemoryError):
        raise
    except RecursionError:
        raise ParseError("the file is nested too deeply") from None
    except BaseException as error:
        if not isinstance(error, Exception) and not _is_panic(error):
            raise
        raise ParseError(f"the file is damaged or not what it seems: {_describe(error)}") from error


def _is_panic(error: BaseException) -> bool:
    """Whether a library written in Rust gave up, which pyo3 raises as a BaseException that cannot be imported."""
    return type(error).__name__ == "PanicException"


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200]
