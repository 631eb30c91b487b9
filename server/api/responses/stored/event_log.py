"""What happens to a response in the background, on its way into an archive that may fail for a while."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from server.api.responses.run import numbered
from server.archive.api import Archive
from server.core.errors import ApiError
from server.core.messages import Json
from server.core.threads import in_thread

T = TypeVar("T")
LOG = logging.getLogger("stoa")
LEASE = 30.0  # seconds that a process may be silent before another takes over what it is at
AGAIN = 1.0  # seconds until a write that has failed is tried again
GATHER = 0.05  # seconds in which events are written down together
NOT_FOUND = 404


class Log:
    """Events of one response on their way into the archive."""

    def __init__(self, archive: Archive, response_id: str, news: asyncio.Event) -> None:
        self._archive, self._id, self._news = archive, response_id, news
        self._waiting: list[str] = []
        self._number = 0
        self._some = asyncio.Event()
        self._writing = asyncio.Lock()

    def add_all(self, events: Iterable[Json]) -> None:
        for event in events:
            self.add(event)

    def add(self, event: Json) -> None:
        self._waiting.append(numbered(self._number + len(self._waiting), event))
        self._some.set()

    async def write(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._some.wait()
            await asyncio.sleep(GATHER)
            if not await self.try_flush():
                await asyncio.sleep(AGAIN)

    async def try_flush(self) -> bool:
        """False: what waits still waits. The response itself does not depend on it."""
        try:
            await self.flush()
        except Exception as error:
            if not (isinstance(error, ApiError) and error.status == NOT_FOUND):  # it may have been deleted
                LOG.warning("events of %s were not written down", self._id, exc_info=error)
            return False
        return True

    async def flush(self) -> None:
        """A write that has begun is waited for by the next one, also where whoever began it has been cancelled."""
        await asyncio.shield(asyncio.create_task(self._flush()))

    async def _flush(self) -> None:
        async with self._writing:
            events = list(self._waiting)
            if events:
                await in_thread(self._archive.append_events, self._id, self._number, events)
                self._number += len(events)
                del self._waiting[: len(events)]
            if not self._waiting:
                self._some.clear()
        self._news.set()


async def insisting(write: Callable[[], Awaitable[T]]) -> T:
    """Again and again while the database fails, as long as a lease lasts. Raises what went wrong last."""
    until = time.monotonic() + LEASE
    while True:
        try:
            return await write()
        except Exception:
            if time.monotonic() + AGAIN > until:
                raise
            LOG.warning("a response was not written down; trying again", exc_info=True)
        await asyncio.sleep(AGAIN)
