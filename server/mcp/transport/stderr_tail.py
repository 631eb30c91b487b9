"""Keeps the end of what a process writes to standard error, for the operator's log, and stops a flood."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TextIO

from server.mcp.transport.server_guard import MAX_STDERR_BYTES, PERIOD

TAIL_BYTES = 4096
READ_BYTES = 64 * 1024


class StderrTail:
    """`closed` is set when all write ends of the pipe are closed, or after a flood (`on_flood` is called then, and nothing more read).
    Create it on the event loop that waits for it."""

    def __init__(self, on_flood: Callable[[], None] = lambda: None) -> None:
        self.closed = asyncio.Event()
        self._on_flood = on_flood
        self._tail = b""
        self._loop = asyncio.get_running_loop()

    @property
    def text(self) -> str:
        return self._tail.decode(errors="replace").strip()

    def read_pipe(self, descriptor: int) -> None:
        """Reads until the end of the pipe. Runs in a thread of its own: on Windows the event loop cannot read pipes."""
        began, size = time.monotonic(), 0
        try:
            with open(descriptor, "rb", buffering=0) as pipe:
                while data := pipe.read(READ_BYTES):
                    self._tail = (self._tail + data)[-TAIL_BYTES:]
                    began, size = (began, size + len(data)) if time.monotonic() - began < PERIOD else (time.monotonic(), len(data))
                    if size > MAX_STDERR_BYTES:
                        self._loop.call_soon_threadsafe(self._on_flood)
                        return
        finally:
            with suppress(RuntimeError):  # the event loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self.closed.set)

    async def wait_closed(self, seconds: float) -> str:
        """The text, once the pipe is closed or `seconds` have passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # wait_for would lose a cancellation that comes with the event
                await self.closed.wait()
        return self.text


@contextmanager
def stderr_pipe(tail: StderrTail) -> Generator[TextIO]:
    """A file to pass as a process's standard error; the caller closes it once the process has been started."""
    reading, writing = os.pipe()
    threading.Thread(target=tail.read_pipe, args=(reading,), name="mcp stderr", daemon=True).start()
    with open(writing, "w") as file:
        yield file
