"""Who may be in the engine at once, each at a place of his own."""

import asyncio
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from engine.api import IDLE_PRIORITY, QueueFull, Request

IDLE_PLACES = 64  # for what is computed in idle time, which takes no place from anybody


class Places:
    """Used by one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = list(range(most + IDLE_PLACES))
        self._open = Counter[str]()  # requests by owner, without those of idle time
        self._idle = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    @property
    def count(self) -> int:
        return self._open.total() + self._idle

    @property
    def quiet(self) -> bool:
        """Nobody is here but for those who come in idle time."""
        return self._quiet.is_set()

    async def wait_until_quiet(self) -> None:
        await self._quiet.wait()

    @contextmanager
    def taken(self, request: Request) -> Generator[int]:
        """Raises QueueFull."""
        idle = request.priority >= IDLE_PRIORITY
        self._expect_room(request.owner, idle=idle)
        place = self._free.pop()
        self._count(request.owner, 1, idle=idle)
        try:
            yield place
        finally:
            self._count(request.owner, -1, idle=idle)
            self._free.append(place)

    def _expect_room(self, owner: str, *, idle: bool) -> None:
        total = self._open.total()
        if idle and self._idle >= IDLE_PLACES:
            raise QueueFull(f"{self._idle} requests are answered in idle time, and no more are taken")
        if idle:
            return
        if total >= self._most:
            raise QueueFull(f"{total} requests are running or waiting, and no more are taken")
        if owner and self._open[owner] >= max(1, self._most // 2):
            raise QueueFull(f"{self._open[owner]} requests of this key are running or waiting, half of all places: no more are taken")

    def _count(self, owner: str, by: int, *, idle: bool) -> None:
        if idle:
            self._idle += by
            return
        self._open[owner] += by
        self._open += Counter()  # which drops owners without any
        if self._open:
            self._quiet.clear()
        else:
            self._quiet.set()
