"""Time limits that hold whatever the work does when it is cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class TimeLimit:
    """The SDK takes up to 5 s to cancel a call, since it tells the server so, and a server that reads nothing lets it wait: that goes on
    by itself, and nobody waits for it."""

    def __init__(self) -> None:
        self._ending = set[asyncio.Task[Any]]()  # cancelled, not ended yet: the event loop itself holds no references

    async def within(self, seconds: float, work: Coroutine[Any, Any, T]) -> T:
        """Raises TimeoutError when the time is over."""
        task = asyncio.create_task(work)
        try:
            done, _ = await asyncio.wait((task,), timeout=seconds)
        finally:
            if not task.done():
                self._abandon(task)
        if not done:
            raise TimeoutError
        return task.result()

    def _abandon(self, task: asyncio.Task[Any]) -> None:
        task.cancel()
        self._ending.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._ending.discard(task)
        if not task.cancelled():
            task.exception()  # else the event loop logs it
