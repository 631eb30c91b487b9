"""What the subprocess does with one file: 16,000 samples a second of one channel, as 16-bit integers, go into the file that it was
handed."""

import importlib
import json
import os
from collections.abc import Sequence

from retrieval.sandbox.fork_server import Job, Work, serve
from server.speech.decoding.limits import Refused


def main() -> None:
    serve(Work(_prepare, _decode))


def _prepare(_: Job) -> None:
    importlib.import_module("server.speech.decoding.ffmpeg")


def _decode(job: Job, files: Sequence[int]) -> bytes:
    from server.speech.decoding.ffmpeg import write_samples

    reply: dict[str, str] = {}
    try:
        with os.fdopen(files[0], "rb") as source, os.fdopen(files[1], "wb") as target:
            write_samples(source, target, job["duration"])
    except Refused as error:
        reply = {"refused": str(error), "code": error.code}
    except MemoryError:
        reply = {"refused": "decoding the file takes too much memory", "code": "invalid_audio"}
    return json.dumps(reply).encode()
