"""What a process says on standard error: the end of it is kept, for whoever asks why it died."""

import asyncio
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TextIO

KEPT = 4096  # bytes


class StderrTail:
    """`closed` is set when nobody can write any more. Belongs to the event loop that made it."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self._kept = b""
        self._loop = asyncio.get_running_loop()

    @property
    def text(self) -> str:
        return self._kept.decode(errors="replace").strip()

    def add(self, data: bytes) -> None:
        self._kept = (self._kept + data)[-KEPT:]

    def follow(self, reading: int) -> None:
        """Until the end of the pipe, in a thread of its own: on Windows the event loop cannot read pipes."""
        try:
            with open(reading, "rb", buffering=0) as pipe:
                while data := pipe.read(KEPT):
                    self.add(data)
        finally:
            with suppress(RuntimeError):  # the loop is closed: nobody asks any more
                self._loop.call_soon_threadsafe(self.closed.set)

    async def complete(self, seconds: float) -> str:
        """The text, when all has been said; at the latest after `seconds`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.closed.wait(), seconds)
        return self.text


@contextmanager
def errors(tail: StderrTail) -> Generator[TextIO]:
    """A file for a process's standard error; close it when the process has been started."""
    reading, writing = os.pipe()
    threading.Thread(target=tail.follow, args=(reading,), name="mcp stderr", daemon=True).start()
    with open(writing, "w") as file:
        yield file
