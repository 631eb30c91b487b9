"""The parser subprocess: what it does with one file, in a child of its own."""

import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import PurePosixPath

from retrieval.parse.dispatch import read
from retrieval.parse.formats import FORMATS, KIND_BY_EXTENSION
from retrieval.parse.limits import Limits, ParseError
from retrieval.sandbox.fork_server import Job, Work, serve

RECURSION_LIMIT = 20_000  # frames: HTML may be nested 2,000 deep


def main() -> None:
    serve(Work(_preload_parser, _parse))


def _preload_parser(job: Job) -> None:
    """Imports the parser for the file's extension."""
    if kind := KIND_BY_EXTENSION.get(PurePosixPath(job["filename"]).suffix.lower()):
        importlib.import_module(FORMATS[kind].parser_module)
    if job["limits"]["pictures"]:
        importlib.import_module("retrieval.parse.common.picture_files")
        importlib.import_module("PIL.Image").init()


def _parse(job: Job, files: Sequence[int]) -> bytes:
    sys.setrecursionlimit(RECURSION_LIMIT)
    return json.dumps(_result(files[0], job["filename"], Limits(**job["limits"]))).encode()


def _result(file: int, filename: str, limits: Limits) -> dict[str, object]:
    try:
        with os.fdopen(file, "rb") as source:
            return read(source, filename, limits)
    except ParseError as error:
        return {"refused": str(error), "code": error.code, "convert_to": error.convert_to}
    except MemoryError:
        return {"refused": f"reading the file takes more than {limits.memory_bytes >> 20} MiB of memory", "code": "invalid_file"}
