"""Decodes audio files in a subprocess with resource limits: the server never looks into one itself."""

import json
import logging
import os
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from retrieval.sandbox.limits import JobLimits
from retrieval.sandbox.pool import SandboxClosed, SandboxPool
from retrieval.sandbox.process import SandboxProcess, bootstrap
from server.speech.api import AudioError
from server.speech.decoding.limits import CODES, RATE, SAMPLE_BYTES, AudioLimits, Code
from server.speech.recording import SampleFile

BOOTSTRAP = bootstrap("server.speech.decoding.child")
MAX_OUTPUT = 1 << 16  # bytes of the subprocess's reply
MAX_LINE = 500  # characters of a message
SLACK = RATE * SAMPLE_BYTES  # bytes that may be written before the duration is found too long

_log = logging.getLogger(__name__)


class DecoderFailed(RuntimeError):
    """The server is closing, or its library cannot be loaded: nothing is wrong with the file."""


class SandboxDecoder:
    """Implements server.speech.api.AudioDecoder, and raises DecoderFailed, too. Decodes up to `workers` files at the same time; starts its
    subprocesses when first needed."""

    def __init__(self, limits: AudioLimits | None = None, workers: int = 2) -> None:
        self._limits = limits or AudioLimits()
        self._pool = SandboxPool(BOOTSTRAP, workers, self._limits.files)

    @asynccontextmanager
    async def decode(self, file: Path) -> AsyncGenerator[SampleFile]:
        """Cancelling kills the subprocess that decodes the file."""
        source = file.open("rb")  # it may outlive a cancelled call: the pool closes it
        try:
            recording = await self._pool.run(_Job(source, self._limits).run, abort=_nothing, done=source.close)
        except SandboxClosed:
            raise DecoderFailed("the server ended before it decoded the file") from None
        with recording:
            yield recording

    def close(self) -> None:
        """Kills the subprocesses; calls in progress fail."""
        self._pool.close()


def _nothing() -> None:
    """Only the subprocess is to be ended."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One file to be decoded in a thread."""

    source: IO[bytes]
    limits: AudioLimits

    def run(self, process: SandboxProcess) -> SampleFile:
        if not os.fstat(self.source.fileno()).st_size:
            raise AudioError("the file is empty (0 bytes)", "empty_audio")
        target = tempfile.TemporaryFile()  # noqa: SIM115 - the recording's
        try:
            self._decode(process, target)
            return SampleFile(target)
        except BaseException:
            target.close()
            raise

    def _decode(self, process: SandboxProcess, target: IO[bytes]) -> None:
        files = [self.source.fileno(), target.fileno()]
        try:
            status, output = process.run({"duration": self.limits.duration}, files, _job_limits(self.limits))
        except (OSError, EOFError) as error:
            _log.warning("the decoder's subprocess failed: %r", error)
            raise AudioError("decoding the file took too long or ended the decoder", "invalid_audio") from None
        _check(status, output, self.limits)


def _job_limits(limits: AudioLimits) -> JobLimits:
    return JobLimits(
        seconds=limits.seconds,
        memory_bytes=limits.memory_bytes,
        output_bytes=MAX_OUTPUT,
        written_bytes=int(limits.duration * RATE) * SAMPLE_BYTES + SLACK,
    )


def _check(status: str, output: bytes, limits: AudioLimits) -> None:
    """Raises AudioError where the file was refused, and for a malformed reply, which a hostile file may have written; DecoderFailed."""
    if status in ("gone", "broken"):
        raise DecoderFailed("the library that decodes audio (av) cannot be loaded" if status == "broken" else "the server ended")
    if status != "done":
        raise AudioError(_reason(status, limits), "invalid_audio")
    try:
        reply: dict[str, Any] = json.loads(output)
        if "refused" in reply:
            raise AudioError(str(reply["refused"])[:MAX_LINE], _code(reply["code"]))
    except (ValueError, KeyError, TypeError):
        raise AudioError("the decoder gave an answer that makes no sense: the file is damaged or hostile", "invalid_audio") from None


def _code(said: object) -> Code:
    for code in CODES:
        if code == said:
            return code
    return "invalid_audio"


def _reason(status: str, limits: AudioLimits) -> str:
    return {
        "slow": f"decoding the file takes longer than {limits.seconds:g} seconds",
        "memory": f"decoding the file takes more than {limits.memory_bytes >> 20} MiB of memory",
    }.get(status, "the file made its decoder crash: it is damaged or hostile")
