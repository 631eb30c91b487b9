"""What has idle time only: nobody else waits for it, and its answers are those that it would have had alone."""

import asyncio
from dataclasses import replace

import pytest
import torch

from engine.api import IDLE_PRIORITY, Request
from engine.embedded.core import Core
from engine.embedded.sequence import Sequence
from tests.engine.test_engine import request, until_idle
from tests.engine.tiny import LIMITS, PLAIN, Oracle, answer, collect, core, drain, greedy, loaded, running, sequence

LONG = tuple(i % 90 for i in range(100))


def idle(core: Core, prompt: tuple[int, ...], count: int) -> Sequence:
    seq = sequence(core, prompt, greedy(count), priority=IDLE_PRIORITY)
    core.add(seq)
    return seq


def step(core: Core, times: int = 1) -> None:
    for _ in range(times):
        with torch.inference_mode():
            core.step()


def steps_of(core: Core, prompt: tuple[int, ...], count: int) -> int:
    """That a request takes which may run at any time."""
    seq = sequence(core, prompt, greedy(count))
    core.add(seq)
    for number in range(1, 200):
        step(core)
        core.memory.check()
        if seq.finish is not None:
            return number
    raise AssertionError("it does not end")


def test_others_take_as_many_steps_as_alone() -> None:
    alone, oracle = steps_of(core(PLAIN), LONG, 20), Oracle(PLAIN)
    shared = core(PLAIN)
    waiting = [idle(shared, (1, i, 2), 30) for i in range(6)]
    step(shared, 5)
    before = [seq.generated for seq in waiting]
    assert min(before) > 0 and steps_of(shared, LONG, 20) == alone
    assert [seq.generated for seq in waiting] == before and shared.scheduler.running == []
    drain(shared)
    assert [answer(seq) for seq in waiting] == [oracle.greedy((1, i, 2), 30) for i in range(6)]
    assert shared.stats().preemptions == 0  # nothing was short


@pytest.mark.parametrize(("pages", "max_running"), [(64, 1), (9, 32)])
def test_it_holds_neither_place_nor_page(pages: int, max_running: int) -> None:
    small = core(PLAIN, pages=pages, limits=replace(LIMITS, max_running=max_running))
    first = idle(small, LONG, 40)
    step(small, 10)
    assert first.computed > 0 and steps_of(small, (3, 4), 3) == 3
    drain(small)
    assert answer(first) == Oracle(PLAIN).greedy(LONG, 40)


def test_who_comes_waits_for_a_short_step_only() -> None:
    limits = replace(LIMITS, mixed_step_tokens=4)
    small = core(PLAIN, limits=limits)
    first = idle(small, LONG, 1)
    step(small)
    assert first.computed == 2 * limits.mixed_step_tokens
    steps_of(small, (3, 4), 1)
    seen = first.computed
    step(small)
    assert seen == 0 and first.computed > 0


def test_another_owner_s_idle_time_takes_no_place_away() -> None:
    small = core(PLAIN, limits=replace(LIMITS, max_running=2))
    mine = [sequence(small, (5, i), greedy(20)) for i in range(3)]
    for seq in mine:
        seq.request = replace(seq.request, owner="me")
        small.add(seq)
    theirs = idle(small, (7, 8), 3)
    theirs.request = replace(theirs.request, owner="you")
    step(small, 10)
    assert small.stats().preemptions == 0 and [seq.generated for seq in mine] == [10, 10, 0] and theirs.generated == 0
    drain(small)


def test_a_full_queue_does_not_matter() -> None:
    async def run() -> None:
        async with running(loaded(PLAIN, limits=replace(LIMITS, max_running=1, max_waiting=1))) as engine:

            def late(token: int) -> Request:
                return replace(request(1, token, max_tokens=20), owner="a", priority=IDLE_PRIORITY)

            tasks = [asyncio.create_task(collect(engine, late(i))) for i in range(6)]
            await asyncio.sleep(0)
            assert (await collect(engine, replace(request(1, 2), owner="a"))).finish == "length"
            assert {(await task).finish for task in tasks} == {"length"}
            await until_idle(engine)
            assert not engine._open

    asyncio.run(run())
