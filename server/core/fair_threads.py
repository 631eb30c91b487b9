"""Threads for work that takes long, shared fairly: each owner has one of them at a time, so that none can occupy all."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

P = ParamSpec("P")
T = TypeVar("T")


class FairThreads:
    """Used from one event loop."""

    def __init__(self, name: str, count: int) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self, owner: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work(...)` in a thread. Work whose caller is cancelled while it waits is not done."""
        turn = self._turns.setdefault(owner, asyncio.Lock())
        async with turn:
            return await asyncio.get_running_loop().run_in_executor(self._executor, partial(work, *args, **kwargs))
