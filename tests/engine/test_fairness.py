"""Owners share places: in the queue, and among the answers that run."""

import asyncio
from dataclasses import replace

import pytest

from engine.api import QueueFull, Request
from tests.engine.test_engine import request, until_idle
from tests.engine.tiny import LIMITS, PLAIN, Oracle, collect, loaded, running


def of(owner: str, *tokens: int, **options: int) -> Request:
    return replace(request(*tokens, **options), owner=owner)


def test_one_owner_cannot_fill_the_queue() -> None:
    async def run() -> None:
        async with running(loaded(PLAIN, limits=replace(LIMITS, max_running=2, max_waiting=4))) as engine:
            tasks = [asyncio.create_task(collect(engine, of("a", 1, i, max_tokens=20))) for i in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(QueueFull, match="3 requests of this key"):
                await collect(engine, of("a", 1, 2))
            assert (await collect(engine, of("b", 1, 2))).finish == "length"
            assert {(await task).finish for task in tasks} == {"length"}
            assert (await collect(engine, of("a", 1, 2))).finish == "length"
            await until_idle(engine)
            assert not engine._open

    asyncio.run(run())


def test_owners_begin_in_turn() -> None:
    """Twelve requests of one owner are before the one of another, which begins at once nevertheless; all answers are right."""

    async def run() -> None:
        oracle, order = Oracle(PLAIN), list[str]()
        async with running(loaded(PLAIN, pages=200, limits=replace(LIMITS, max_running=2))) as engine:

            async def ask(owner: str, token: int) -> None:
                prompt = (1, token, 3)
                found = await collect(engine, of(owner, *prompt, max_tokens=30))
                order.append(owner)
                assert list(found.tokens) == oracle.greedy(prompt, 30)

            first = [asyncio.create_task(ask("a", i)) for i in range(12)]
            while engine.stats().running < 2:
                await asyncio.sleep(0.001)
            await asyncio.gather(*first, ask("b", 50), ask("b", 51))
            assert max(i for i, owner in enumerate(order) if owner == "b") < 6
            assert engine.stats().preemptions >= 1

    asyncio.run(run())
