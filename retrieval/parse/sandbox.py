"""Parses files in a subprocess with resource limits and validates its replies."""

import asyncio
import logging
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import PurePath
from threading import Lock
from typing import IO

from retrieval.api import Document, Unreadable
from retrieval.parse.limits import MIB, Limits
from retrieval.parse.office.old import conversion
from retrieval.parse.office.old.conversion import Conversion
from retrieval.parse.reply import Convertible, parse_reply
from retrieval.sandbox.limits import JobLimits
from retrieval.sandbox.pool import SandboxClosed, SandboxPool
from retrieval.sandbox.process import SandboxProcess, bootstrap

BOOTSTRAP = bootstrap("retrieval.parse.worker")
MAX_FILENAME = 1024  # characters kept, from the end of a filename

_log = logging.getLogger(__name__)


class SubprocessParser:
    """Implements retrieval.api.Parser. Reads up to `workers` files at the same time; starts its subprocesses when first needed."""

    def __init__(self, limits: Limits | None = None, workers: int = 2) -> None:
        self._limits = limits or Limits()
        self._pool = SandboxPool(BOOTSTRAP, workers, self._limits.documents)

    async def parse(self, content: AsyncIterator[bytes], filename: str) -> Document:
        """Raises Unreadable. Cancelling the call kills the subprocess that parses the file."""
        file = tempfile.TemporaryFile()  # noqa: SIM115 - it may outlive a cancelled call: the pool closes it
        try:
            await self._spool(content, file)
        except BaseException:
            file.close()
            raise
        job = _Job(file, filename[-MAX_FILENAME:], self._limits)
        try:
            return await self._pool.run(job.run, abort=job.abort, done=file.close)
        except SandboxClosed:
            raise Unreadable("the server ended before it read the file", "server_error") from None

    def close(self) -> None:
        """Kills the subprocesses; calls in progress raise Unreadable."""
        self._pool.close()

    async def _spool(self, content: AsyncIterator[bytes], file: IO[bytes]) -> None:
        size = 0
        async for part in content:
            size += len(part)
            if size > self._limits.file_bytes:
                raise Unreadable(f"the file is larger than {self._limits.file_bytes // MIB} MiB")
            await asyncio.to_thread(file.write, part)
        if not size:
            raise Unreadable("the file is empty (0 bytes)")
        await asyncio.to_thread(file.flush)
        file.seek(0)


class _Job:
    """One file to be parsed in a thread; can be aborted from another thread."""

    def __init__(self, file: IO[bytes], filename: str, limits: Limits) -> None:
        self._file, self._filename, self._limits = file, filename, limits
        self._lock, self._aborted = Lock(), False
        self._conversion: Conversion | None = None

    def run(self, process: SandboxProcess) -> Document:
        try:
            return self._read(process, self._file.fileno(), self._filename)
        except Convertible as found:
            return self._read_converted(process, found)

    def _read_converted(self, process: SandboxProcess, found: Convertible) -> Document:
        """Raises the refusal where LibreOffice is missing, or the file is none of the old formats after all."""
        soffice = conversion.program()
        if soffice is None or os.pread(self._file.fileno(), len(conversion.OLD_FORMAT), 0) != conversion.OLD_FORMAT:
            raise found.refusal
        with Conversion(self._file, found.ending, self._limits) as running:
            with self._lock:
                self._conversion = running
                if self._aborted:
                    raise Unreadable("cancelled", "server_error")
            try:
                with running.run(soffice) as converted:
                    return self._read(process, converted.fileno(), f"{PurePath(self._filename).stem}.{found.ending}")
            except Convertible as again:
                raise again.refusal from None

    def _read(self, process: SandboxProcess, file: int, filename: str) -> Document:
        job = {"filename": filename, "limits": asdict(self._limits)}
        try:
            status, output = process.run(job, [file], _job_limits(self._limits))
        except (OSError, EOFError) as error:
            _log.warning("the parser's subprocess failed on %r: %r", filename, error)
            raise Unreadable("reading the file took too long or ended the parser", "server_error") from None
        return parse_reply(status, output, self._limits)

    def abort(self) -> None:
        with self._lock:
            self._aborted = True
            if self._conversion:
                self._conversion.kill()


def _job_limits(limits: Limits) -> JobLimits:
    return JobLimits(seconds=limits.seconds, memory_bytes=limits.memory_bytes, output_bytes=12 * limits.characters + (64 << 20))
