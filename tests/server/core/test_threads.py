"""Work in threads that outlives who waits for it by nothing."""

import asyncio
import threading

import pytest

from server.core.threads import in_thread_to_its_end, wait_through


def test_cancelled_it_still_waits_for_its_thread() -> None:
    began, go, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        go.wait(60)
        ended.set()

    async def run() -> None:
        task = asyncio.create_task(in_thread_to_its_end(work))
        await asyncio.to_thread(began.wait, 60)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
            assert not task.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(run())


def test_results_and_errors_come_through() -> None:
    async def run() -> None:
        assert await in_thread_to_its_end(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await in_thread_to_its_end(lambda: 1 // 0)
        failing = asyncio.ensure_future(in_thread_to_its_end(lambda: 1 // 0))
        await wait_through(failing)
        assert isinstance(failing.exception(), ZeroDivisionError)

    asyncio.run(run())
