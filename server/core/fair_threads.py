"""Threads for work that takes long, shared fairly: each account leaves one of them to others, so that none can occupy all."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

from server.core.cost import before_long_work, counted

CORES_PER_THREAD = 4  # the others are the engine's

P = ParamSpec("P")
T = TypeVar("T")


class FairThreads:
    """Used from one event loop."""

    def __init__(self, name: str, count: int | None = None) -> None:
        """`count` is by default a share of the cores."""
        self.count = count or max(1, (os.cpu_count() or 1) // CORES_PER_THREAD)
        self._executor = ThreadPoolExecutor(self.count, thread_name_prefix=name)
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def run(self, account: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work(...)` in a thread, for which the request pays. Work whose caller is cancelled while it waits is not done."""
        await before_long_work()
        turn = self._turns.setdefault(account, asyncio.Semaphore(max(1, self.count - 1)))
        async with turn:
            work_in_context = partial(copy_context().run, counted, work, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(self._executor, work_in_context)
