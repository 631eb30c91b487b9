"""What is refused is paid for at a share of a core, while somebody is served."""

import asyncio

import pytest

from server.core.cost import RequestCost
from server.core.errors import ApiError
from server.runtime import throttle
from server.runtime.throttle import (
    ABANDONED_BURST,
    BODIES_AT_ONCE,
    BURST,
    LARGE_BODY,
    MAX_DEBT,
    MAX_DELAY,
    MAX_PAUSE,
    REQUEST_SECONDS,
    SHARE,
    Pace,
    Throttle,
)


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


def test_what_nobody_waits_for_is_paid_for_also_by_threads_that_go_on() -> None:
    clock = Clock()
    busy, cost = Throttle(lambda: True, clock), RequestCost("a", seconds=ABANDONED_BURST)
    busy.abandoned(cost)
    assert busy.debt("a") == pytest.approx(REQUEST_SECONDS / SHARE)
    cost.add(0.1)
    assert busy.debt("a") == pytest.approx((REQUEST_SECONDS + 0.1) / SHARE)
    clock.now += 1
    assert busy.debt("a") == pytest.approx((REQUEST_SECONDS + 0.1) / SHARE - 1)
    assert busy.debt("b") == 0


def test_people_who_change_their_minds_owe_nothing() -> None:
    busy = Throttle(lambda: True, Clock())
    for _ in range(5):
        busy.abandoned(RequestCost("a", seconds=ABANDONED_BURST / 10))
    assert busy.debt("a") == 0


def test_debts_end() -> None:
    clock = Clock()
    busy = Throttle(lambda: True, clock)
    busy.abandoned(RequestCost("a", seconds=1000))
    busy.refusal_delay(RequestCost("b", seconds=1000))
    assert [busy.debt("a"), busy.debt("b")] == pytest.approx([MAX_DEBT, MAX_DEBT])
    clock.now += MAX_DEBT
    assert [busy.debt("a"), busy.debt("b")] == pytest.approx([0, 0])


def test_nothing_is_booked_while_nobody_is_served() -> None:
    calm, cost = Throttle(lambda: False, Clock()), RequestCost("a", seconds=10)
    calm.abandoned(cost)
    cost.add(10)
    assert calm.debt("a") == 0


def test_who_owes_something_waits_before_work_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    slept, clock, served = list[float](), Clock(), [True]

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def scene() -> None:
        throttle = Throttle(lambda: served[0], clock)
        throttle.abandoned(RequestCost("a", seconds=100))
        throttle.refusal_delay(RequestCost("b", seconds=BURST))
        for account in ("a", "b", "c"):
            await throttle.pause(account)
        served[0] = False
        await throttle.pause("a")
        served[0] = True
        clock.now += MAX_DEBT
        await throttle.pause("a")

    monkeypatch.setattr(throttle.asyncio, "sleep", sleep)
    asyncio.run(scene())
    assert slept == [MAX_PAUSE, pytest.approx(REQUEST_SECONDS / SHARE)]


def test_connections_of_who_owes_something_are_read_later_but_not_those_of_a_proxy() -> None:
    for keyed in (False, True):
        busy = Throttle(lambda: True, Clock(), keyed=keyed)
        assert busy.deferral("127.0.0.1") == 0
        busy.refusal_delay(RequestCost("127.0.0.1", seconds=10))
        assert busy.deferral("127.0.0.1") == (0 if keyed else MAX_PAUSE)


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


def test_where_very_many_wait_one_more_is_told_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "BODIES_AT_ONCE", 1)
    monkeypatch.setattr(throttle, "BODIES_WAITING", 1)

    async def scene() -> None:
        turns = Throttle(lambda: True, Clock())

        async def take() -> None:
            async with turns.turn("a"):
                pass

        async with turns.turn("a"):
            waiting = asyncio.create_task(take())
            await asyncio.sleep(0)
            for _ in range(1 + int(ABANDONED_BURST / REQUEST_SECONDS)):
                with pytest.raises(ApiError) as refused:
                    await take()
                assert refused.value.status == 503
            assert turns.debt("a") > 0
            async with turns.turn("b"):
                pass
            waiting.cancel()
            await asyncio.wait([waiting])
            waiting = asyncio.create_task(take())
        await waiting

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
