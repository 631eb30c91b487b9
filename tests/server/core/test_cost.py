"""The processor time of a request: its own steps and its threads', not what it waits for."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from server.core.cost import CURRENT, RequestCost, before_long_work, counted_steps
from server.core.fair_threads import FairThreads
from server.core.threads import LARGE, in_thread_if_large

WORK = 0.02  # seconds of processor time


def work(seconds: float = WORK) -> None:
    began = time.thread_time()
    while time.thread_time() < began + seconds:
        pass


def cost_of(request: Coroutine[Any, Any, object]) -> RequestCost:
    async def answer() -> None:
        CURRENT.set(cost)
        await counted_steps(request)

    cost = RequestCost("a")
    asyncio.run(answer())
    return cost


def test_steps_count_and_waiting_does_not() -> None:
    async def request() -> None:
        work()
        other = asyncio.create_task(asyncio.to_thread(work, 10 * WORK))  # nobody's
        await other
        work()

    assert 2 * WORK <= cost_of(request()).seconds < 10 * WORK


@pytest.mark.parametrize("size", [LARGE + 1, 1_000_000])
def test_threads_count(size: int) -> None:
    assert cost_of(in_thread_if_large(size, work)).seconds >= WORK
    assert cost_of(FairThreads("test", 1).run("a", work)).seconds >= WORK


def test_work_that_fails_counts() -> None:
    def fail() -> None:
        work()
        raise ValueError("no")

    cost = RequestCost("a")

    async def answer() -> None:
        CURRENT.set(cost)
        with pytest.raises(ValueError, match="no"):
            await counted_steps(in_thread_if_large(LARGE + 1, fail))

    asyncio.run(answer())
    assert cost.seconds >= WORK


def test_cancellation_reaches_the_work_and_results_come_back() -> None:
    ended = list[str]()

    async def waiting() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    async def answer() -> None:
        CURRENT.set(RequestCost("a"))
        assert await counted_steps(asyncio.sleep(0, "result")) == "result"
        task = asyncio.create_task(counted_steps(waiting()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(answer())
    assert ended == ["cleaned up"]


def test_threads_of_a_request_that_has_ended_are_booked() -> None:
    cost, booked = RequestCost("a", seconds=1), list[float]()
    cost.book_with(booked.append)
    cost.add(2)
    assert booked == [1, 2]


def test_a_request_waits_once_before_work_that_takes_long() -> None:
    asked = list[str]()

    async def pause(account: str) -> None:
        asked.append(account)

    async def answer() -> None:
        await before_long_work()  # of no request
        CURRENT.set(RequestCost("a", pause=pause))
        await in_thread_if_large(1, int)
        assert not asked
        await in_thread_if_large(LARGE + 1, int)
        await before_long_work()

    asyncio.run(answer())
    assert asked == ["a"]
