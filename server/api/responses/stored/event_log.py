"""Writes the events of a background response to the archive, and retries writes that fail."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from server.api.responses.events.sse import event_json
from server.archive.api import Archive
from server.core.errors import ApiError
from server.core.messages import Json
from server.core.threads import in_thread

T = TypeVar("T")
LOG = logging.getLogger("stoa")
LEASE_SECONDS = 30.0  # after that time without a renewal, another process may take over a response
RETRY_SECONDS = 1.0  # until a failed write is retried
BATCH_SECONDS = 0.05  # events of that time are written together
NOT_FOUND = 404


class EventLog:
    """The events of one response, buffered until they are written."""

    def __init__(self, archive: Archive, response_id: str, updated: asyncio.Event, ended: Callable[[], None]) -> None:
        """`updated` is set after each write. `ended` is called when the response takes no more events."""
        self._archive, self._response_id, self._updated, self._ended = archive, response_id, updated, ended
        self._buffer: list[str] = []
        self._number = 0  # sequence number of the first event in the buffer
        self._has_events = asyncio.Event()
        self._write_lock = asyncio.Lock()

    def add_all(self, events: Iterable[Json]) -> None:
        for event in events:
            self.add(event)

    def add(self, event: Json) -> None:
        self._buffer.append(event_json(self._number + len(self._buffer), event))
        self._has_events.set()

    async def write_forever(self) -> None:
        """Writes what is added until it is cancelled."""
        while True:
            await self._has_events.wait()
            await asyncio.sleep(BATCH_SECONDS)
            if not await self.try_flush():
                await asyncio.sleep(RETRY_SECONDS)

    async def try_flush(self) -> bool:
        """Returns False if the write has failed; the events stay in the buffer. The stored response does not depend on them."""
        try:
            await self.flush()
        except Exception as error:
            if isinstance(error, ApiError) and error.status == NOT_FOUND:  # the response has been deleted
                self._ended()
            else:
                LOG.warning("events of %s were not written", self._response_id, exc_info=error)
            return False
        return True

    async def flush(self) -> None:
        """Shielded: a write goes on if the caller is cancelled, and the next flush waits for it."""
        await asyncio.shield(asyncio.create_task(self._flush()))

    async def _flush(self) -> None:
        async with self._write_lock:
            events = list(self._buffer)
            if events:
                if not await in_thread(self._archive.append_events, self._response_id, self._number, events):
                    self._ended()
                self._number += len(events)
                del self._buffer[: len(events)]
            if not self._buffer:
                self._has_events.clear()
        self._updated.set()


async def retry_write(write: Callable[[], Awaitable[T]]) -> T:
    """Repeats a write until it succeeds, for as long as a lease lasts. Raises the last error."""
    deadline = time.monotonic() + LEASE_SECONDS
    while True:
        try:
            return await write()
        except Exception:
            if time.monotonic() + RETRY_SECONDS > deadline:
                raise
            LOG.warning("a response was not written to the archive; retrying", exc_info=True)
        await asyncio.sleep(RETRY_SECONDS)
