"""Several jobs at the same time, each in a subprocess of its own; a cancelled one is killed."""

import asyncio
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Lock
from typing import TypeVar

from retrieval.sandbox.process import SandboxProcess

Found = TypeVar("Found")
Work = Callable[[SandboxProcess], Found]  # runs in a thread


class SandboxClosed(Exception):
    """The pool was closed before the job was done."""


class SandboxPool:
    def __init__(self, program: str, workers: int, jobs: int) -> None:
        """`program`, `jobs`: see SandboxProcess. The subprocesses start when first needed."""
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="sandbox")
        self._idle: SimpleQueue[SandboxProcess] = SimpleQueue()
        self._processes = [SandboxProcess(program, jobs) for _ in range(workers)]
        for process in self._processes:
            self._idle.put(process)
        self._finalizer = weakref.finalize(self, _stop, self._threads, self._processes)

    async def run(self, work: Work[Found], *, abort: Callable[[], None], done: Callable[[], None]) -> Found:
        """What `work` returns. Cancelling the call kills its subprocess and calls `abort`; `done` is called once nothing runs any more,
        which may be after that. Raises SandboxClosed."""
        turn = _Turn()
        try:
            future = self._threads.submit(self._run, turn, work)
        except RuntimeError:
            done()
            raise SandboxClosed from None
        future.add_done_callback(lambda _: done())
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            abort()
            turn.abort()
            raise

    def close(self) -> None:
        """Kills the subprocesses; jobs in progress fail."""
        self._finalizer()

    def _run(self, turn: "_Turn", work: Work[Found]) -> Found:
        process = self._idle.get()
        try:
            return turn.run(process, work)
        finally:
            self._idle.put(process)


class _Turn:
    """One job in a thread; can be aborted from another thread."""

    def __init__(self) -> None:
        self._lock, self._aborted = Lock(), False
        self._process: SandboxProcess | None = None

    def run(self, process: SandboxProcess, work: Work[Found]) -> Found:
        with self._lock:
            if self._aborted:
                raise SandboxClosed
            self._process = process
        try:
            return work(process)
        finally:
            with self._lock:
                self._process = None

    def abort(self) -> None:
        with self._lock:
            self._aborted = True
            if self._process:
                self._process.kill()


def _stop(threads: ThreadPoolExecutor, processes: list[SandboxProcess]) -> None:
    threads.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
