"""Decodes images in a subprocess with resource limits: the server never looks into one itself."""

import json
import logging
import os
import tempfile
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.images.limits import CODES, Bands, Code, DecoderFailed, ImageError, ImageLimits
from retrieval.sandbox.limits import JobLimits
from retrieval.sandbox.pool import SandboxClosed, SandboxPool
from retrieval.sandbox.process import SandboxProcess, bootstrap

Pixels = NDArray[np.uint8]  # [height, width, bands]

BOOTSTRAP = bootstrap("retrieval.images.child")
MAX_OUTPUT = 1 << 16  # bytes of the subprocess's reply
MAX_LINE = 500  # characters of a message

_log = logging.getLogger(__name__)


class ImageDecoder:
    """Decodes up to `workers` images at the same time; starts its subprocesses when first needed."""

    def __init__(self, limits: ImageLimits | None = None, workers: int = 2, bands: Bands = "RGB") -> None:
        self._limits = limits or ImageLimits()
        self._bands: Bands = bands
        self._pool = SandboxPool(BOOTSTRAP, workers, self._limits.files)

    async def decode(self, data: bytes) -> Pixels:
        """The first picture of a PNG, JPEG, GIF, WebP, BMP or TIFF file, upright. Raises ImageError and DecoderFailed. Cancelling kills the
        subprocess that decodes it."""
        if not data:
            raise ImageError("the image is empty (0 bytes)", "empty_image_file")
        if len(data) > self._limits.file_bytes:
            most = self._limits.file_bytes >> 20
            raise ImageError(f"the image has {len(data) / (1 << 20):.1f} MiB; at most {most} MiB are read", "image_file_too_large")
        source = tempfile.TemporaryFile()  # noqa: SIM115 - it may outlive a cancelled call: the pool closes it
        source.write(data)
        source.seek(0)
        try:
            return await self._pool.run(_Job(source, self._limits, self._bands).run, abort=_nothing, done=source.close)
        except SandboxClosed:
            raise DecoderFailed("the server ended before it decoded the image") from None

    def close(self) -> None:
        """Kills the subprocesses; calls in progress fail."""
        self._pool.close()


def _nothing() -> None:
    """Only the subprocess is to be ended."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One image to be decoded in a thread."""

    source: IO[bytes]
    limits: ImageLimits
    bands: Bands

    def run(self, process: SandboxProcess) -> Pixels:
        with tempfile.TemporaryFile() as target:
            width, height = self._decode(process, target)
            target.seek(0)
            return np.frombuffer(target.read(), np.uint8).reshape(height, width, len(self.bands))

    def _decode(self, process: SandboxProcess, target: IO[bytes]) -> tuple[int, int]:
        files = [self.source.fileno(), target.fileno()]
        try:
            status, output = process.run({"pixels": self.limits.pixels, "bands": self.bands}, files, _job_limits(self.limits, self.bands))
        except (OSError, EOFError) as error:
            _log.warning("the subprocess that decodes images failed: %r", error)
            raise ImageError("decoding the image took too long or ended the decoder", "image_parse_error") from None
        return _size(status, output, os.fstat(target.fileno()).st_size, self)


def _job_limits(limits: ImageLimits, bands: Bands) -> JobLimits:
    return JobLimits(
        seconds=limits.seconds,
        memory_bytes=limits.memory_bytes,
        output_bytes=MAX_OUTPUT,
        written_bytes=limits.pixels * len(bands),
    )


def _size(status: str, output: bytes, written: int, job: _Job) -> tuple[int, int]:
    """Width and height. Raises ImageError where the image was refused, and for a reply that does not fit, which a hostile file may have
    made; DecoderFailed."""
    if status in ("gone", "broken"):
        raise DecoderFailed("the library that decodes images (pillow) cannot be loaded" if status == "broken" else "the server ended")
    if status != "done":
        raise ImageError(_reason(status, job.limits), "image_parse_error")
    try:
        reply: dict[str, Any] = json.loads(output)
        if "refused" in reply:
            raise ImageError(str(reply["refused"])[:MAX_LINE], _code(reply["code"]))
        width, height = int(reply["width"]), int(reply["height"])
        if min(width, height) > 0 and width * height * len(job.bands) == written:
            return width, height
    except ImageError:
        raise
    except (ValueError, KeyError, TypeError):
        pass
    raise ImageError("the decoder gave an answer that makes no sense: the image is damaged or hostile", "image_parse_error")


def _code(said: object) -> Code:
    for code in CODES:
        if code == said:
            return code
    return "image_parse_error"


def _reason(status: str, limits: ImageLimits) -> str:
    return {
        "slow": f"decoding the image takes longer than {limits.seconds:g} seconds",
        "memory": f"decoding the image takes more than {limits.memory_bytes >> 20} MiB of memory",
    }.get(status, "the image made its decoder crash: it is damaged or hostile")
