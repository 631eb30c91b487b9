"""Parses files in a subprocess with resource limits and validates its replies."""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path, PurePath
from queue import SimpleQueue
from threading import Lock
from typing import IO

from retrieval.api import Document, Unreadable
from retrieval.parse.limits import MIB, Limits
from retrieval.parse.office.old import conversion
from retrieval.parse.office.old.conversion import Conversion
from retrieval.parse.reply import Convertible, parse_reply
from retrieval.parse.worker import HEAD, receive_exactly

ROOT = Path(__file__).parents[2]
# Imports this copy of the package, then takes its folder off sys.path: modules there could shadow a library.
BOOTSTRAP = (
    "import sys; sys.path.insert(0, sys.argv[1]); import retrieval; sys.path.pop(0); from retrieval.parse.worker import main; main()"
)
GRACE_SECONDS = 15.0  # seconds above a file's limit until the subprocess itself counts as stuck
MAX_FILENAME = 1024  # characters kept, from the end of a filename

_log = logging.getLogger(__name__)


class SubprocessParser:
    """Implements retrieval.api.Parser. Reads up to `workers` files at the same time; starts its subprocesses when first needed."""

    def __init__(self, limits: Limits | None = None, workers: int = 2) -> None:
        self._limits = limits or Limits()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="parse")
        self._idle_workers: SimpleQueue[_Worker] = SimpleQueue()
        self._workers = [_Worker(self._limits) for _ in range(workers)]
        for worker in self._workers:
            self._idle_workers.put(worker)
        self._finalizer = weakref.finalize(self, _stop, self._threads, self._workers)

    async def parse(self, content: AsyncIterator[bytes], filename: str) -> Document:
        """Raises Unreadable. Cancelling the call kills the subprocess that parses the file."""
        file = tempfile.TemporaryFile()  # noqa: SIM115 - it may outlive a cancelled call: `finish` closes it
        job = _Job(file, filename[-MAX_FILENAME:], self._limits)
        try:
            await self._spool(content, file)
            future = self._submit(job)
        except BaseException:
            file.close()
            raise
        future.add_done_callback(job.finish)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            job.abort()
            raise

    def close(self) -> None:
        """Kills the subprocesses; calls in progress raise Unreadable."""
        self._finalizer()

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

    def _submit(self, job: "_Job") -> Future[Document]:
        try:
            return self._threads.submit(self._run, job)
        except RuntimeError:
            raise Unreadable("the server ended before it read the file", "server_error") from None

    def _run(self, job: "_Job") -> Document:
        worker = self._idle_workers.get()
        try:
            return job.run(worker)
        finally:
            self._idle_workers.put(worker)


class _Job:
    """One file to be parsed in a thread; can be aborted from another thread."""

    def __init__(self, file: IO[bytes], filename: str, limits: Limits) -> None:
        self._file, self._filename, self._limits = file, filename, limits
        self._lock, self._aborted = Lock(), False
        self._worker: _Worker | None = None
        self._conversion: Conversion | None = None

    def run(self, worker: "_Worker") -> Document:
        with self._lock:
            if self._aborted:
                raise Unreadable("cancelled", "server_error")
            self._worker = worker
        try:
            return worker.read(self._file.fileno(), self._filename)
        except Convertible as found:
            return self._read_converted(worker, found)
        finally:
            with self._lock:
                self._worker = None

    def _read_converted(self, worker: "_Worker", found: Convertible) -> Document:
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
                    return worker.read(converted.fileno(), f"{PurePath(self._filename).stem}.{found.ending}")
            except Convertible as again:
                raise again.refusal from None

    def abort(self) -> None:
        with self._lock:
            self._aborted = True
            if self._conversion:
                self._conversion.kill()
            if self._worker:
                self._worker.kill()

    def finish(self, _: Future[Document]) -> None:
        self._file.close()


class _Worker:
    """A subprocess, restarted when it has ended. One file at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._documents_read = 0

    def read(self, file: int, filename: str) -> Document:
        try:
            head, output = self._exchange(file, filename)
        except (OSError, EOFError) as error:
            self.kill()
            _log.warning("the parser's subprocess failed on %r: %r", filename, error)
            raise Unreadable("reading the file took too long or ended the parser", "server_error") from None
        self._documents_read += 1
        if json.loads(head)["end"] != "done" or self._documents_read >= self._limits.documents:
            self.kill()  # with everything a malicious file may have started in its process group
        return parse_reply(head, output, self._limits)

    def kill(self) -> None:
        """Kills the subprocess and the child in which it parses."""
        process, channel = self._process, self._channel
        self._process = self._channel = None
        if process:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if channel:
            with suppress(OSError):
                channel.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for an answer
            channel.close()

    def _exchange(self, file: int, filename: str) -> tuple[bytes, bytes]:
        channel = self._channel or self._start()
        request = json.dumps({"filename": filename, "limits": asdict(self._limits)}).encode()
        socket.send_fds(channel, [HEAD.pack(len(request))], [file])
        channel.sendall(request)
        return _receive_frame(channel), _receive_frame(channel)

    def _start(self) -> socket.socket:
        """-I and an empty environment keep this process's environment, which may hold secrets, from the parsers."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", BOOTSTRAP, str(ROOT)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )
        ours.settimeout(self._limits.seconds + GRACE_SECONDS)
        self._channel, self._documents_read = ours, 0
        return ours


def _receive_frame(channel: socket.socket) -> bytes:
    return receive_exactly(channel, HEAD.unpack(receive_exactly(channel, HEAD.size))[0])


def _stop(threads: ThreadPoolExecutor, workers: list[_Worker]) -> None:
    threads.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.kill()
