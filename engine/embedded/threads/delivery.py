"""Passes the deltas of a step from the engine's thread to the event loops, with one call per loop and step."""

import asyncio
from collections import deque
from collections.abc import Iterable

from engine.api import Delta


class Stream:
    """The receiving end of one request, in the event loop that made it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._arrived: deque[Delta | Exception] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def put(self, item: Delta | Exception) -> None:
        """Call only in the stream's own loop."""
        self._arrived.append(item)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self) -> Delta:
        """Everything received so far, merged into one delta; waits if there is nothing. Raises the exception the engine reported."""
        if not self._arrived:
            self._waiter = self.loop.create_future()
            await self._waiter
        delta = self._next()
        while self._arrived and isinstance(self._arrived[0], Delta):
            delta = _merge(delta, self._next())
        return delta

    def _next(self) -> Delta:
        item = self._arrived.popleft()
        if isinstance(item, Exception):
            raise item
        return item


def deliver(items: Iterable[tuple[Stream, Delta | Exception]]) -> None:
    """Thread-safe. Items for closed loops are dropped."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Stream, Delta | Exception]]] = {}
    for item in items:
        by_loop.setdefault(item[0].loop, []).append(item)
    for loop, batch in by_loop.items():
        try:
            loop.call_soon_threadsafe(_put_all, batch)
        except RuntimeError:
            if not loop.is_closed():
                raise


def _put_all(batch: list[tuple[Stream, Delta | Exception]]) -> None:
    for stream, item in batch:
        stream.put(item)


def _merge(a: Delta, b: Delta) -> Delta:
    return Delta(
        tokens=a.tokens + b.tokens,
        logprobs=a.logprobs + b.logprobs,
        prompt_logprobs=a.prompt_logprobs + b.prompt_logprobs,
        finish=b.finish,
        usage=b.usage or a.usage,
        forced=b.forced,
    )
