"""What the subprocess does with one file: its pixels go into the file that it was handed."""

import importlib
import json
import os
from collections.abc import Sequence

from retrieval.images.limits import ImageError
from retrieval.sandbox.fork_server import Job, Work, serve


def main() -> None:
    serve(Work(_prepare, _decode))


def _prepare(_: Job) -> None:
    """Pillow loads its formats when it first needs them, which the child may no longer do."""
    importlib.import_module("retrieval.images.pillow")
    importlib.import_module("PIL.Image").init()


def _decode(job: Job, files: Sequence[int]) -> bytes:
    from retrieval.images.pillow import write_pixels

    try:
        with os.fdopen(files[0], "rb") as source, os.fdopen(files[1], "wb") as target:
            width, height = write_pixels(source, target, job["pixels"], job["bands"])
        reply: dict[str, object] = {"width": width, "height": height}
    except ImageError as error:
        reply = {"refused": str(error), "code": error.code}
    except MemoryError:
        reply = {"refused": "decoding the image takes too much memory", "code": "image_parse_error"}
    return json.dumps(reply).encode()
