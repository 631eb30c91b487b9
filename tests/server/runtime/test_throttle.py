"""What is refused is paid for at a share of a core, while somebody is served."""

import asyncio

import pytest

from server.core.cost import RequestCost
from server.runtime import throttle
from server.runtime.throttle import BODIES_AT_ONCE, BURST, LARGE_BODY, MAX_DELAY, SHARE, Pace, Throttle


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_pace_lets_a_burst_pass_and_then_keeps_its_rate() -> None:
    clock = Clock()
    pace = Pace(rate=10, burst=5, clock=clock)
    assert [pace.book("a", 1) for _ in range(5)] == [0.0] * 5
    assert pace.book("a", 1) == pytest.approx(0.1)
    assert pace.book("a", 10) == pytest.approx(1.1)
    clock.now += 1.1 + 0.5
    assert pace.book("a", 5) == 0.0


def test_accounts_share_a_rate_and_do_not_wait_for_each_other() -> None:
    clock = Clock()
    pace = Pace(rate=10, burst=0, clock=clock)
    assert pace.book("a", 100) == pytest.approx(10)
    assert pace.book("b", 1) == pytest.approx(0.2)  # two are in debt: each has half of the rate
    clock.now += 20
    assert pace.book("b", 1) == pytest.approx(0.1)


def test_nothing_is_delayed_while_nobody_is_served() -> None:
    calm, cost = Throttle(lambda: False), RequestCost("a", seconds=10)
    assert calm.refusal_delay(cost) == calm.framing_delay("a", 10) == 0


def test_refusals_are_paid_for_while_somebody_is_served() -> None:
    busy = Throttle(lambda: True)
    assert busy.refusal_delay(RequestCost("a")) == 0  # a mistake now and then
    assert busy.refusal_delay(RequestCost("a", seconds=0.1)) > (0.1 - BURST) / SHARE
    assert busy.refusal_delay(RequestCost("a", seconds=100)) == MAX_DELAY
    assert busy.refusal_delay(RequestCost("b")) == 0
    assert busy.framing_delay("a", 100) == MAX_DELAY


def test_somebody_who_was_just_served_is_expected_again() -> None:
    throttle = Throttle(lambda: False)
    assert not throttle.busy
    throttle.note_served()
    assert throttle.busy


def test_few_large_bodies_of_an_account_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more waits until one of them is done; another account's does not."""
    monkeypatch.setattr(throttle, "BODY_RATE", float("inf"))

    async def scene() -> None:
        throttle = Throttle(lambda: True)
        done = asyncio.Event()

        async def receive(account: str, *, kept: bool = True) -> None:
            async with throttle.body(account, kept=kept) as pace:
                await pace.received(LARGE_BODY)
                await pace.received(1)
                received.append(account)
                await done.wait()

        received = list[str]()
        tasks = [asyncio.create_task(receive("a")) for _ in range(BODIES_AT_ONCE + 1)]
        tasks += [asyncio.create_task(receive("b")), asyncio.create_task(receive("a", kept=False))]
        while len(received) < BODIES_AT_ONCE + 2:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert sorted(received) == ["a"] * (BODIES_AT_ONCE + 1) + ["b"]
        done.set()
        await asyncio.gather(*tasks)
        assert received.count("a") == BODIES_AT_ONCE + 2

    asyncio.run(scene())


def test_what_comes_of_a_body_is_noted() -> None:
    async def scene() -> None:
        from server.core.cost import CURRENT

        cost = RequestCost("a")
        CURRENT.set(cost)
        async with Throttle(lambda: False).body("a", kept=True) as pace:
            await pace.received(1000)
            await pace.received(2000)
        assert cost.received == 3000 and cost.seconds > 0

    asyncio.run(scene())
