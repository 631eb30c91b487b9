"""The engine as the text side sees it: a thread of its own, many requests at once, callers that go away."""

import asyncio
import random
import threading
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import torch

from engine.api import EngineError, EngineStopped, InvalidGrammar, JsonObject, PromptTooLong, QueueFull, Request, Sampling
from engine.embedded.engine import EmbeddedEngine
from tests.engine.tiny import CONTEXT, LIMITS, PLAIN, Oracle, collect, loaded, running


def request(*tokens: int, **options: object) -> Request:
    return Request(tokens=tokens, sampling=Sampling(**{"max_tokens": 8, "temperature": 0, **options}))  # type: ignore[arg-type]


async def until_idle(engine: EmbeddedEngine) -> None:
    for _ in range(500):
        stats = engine.stats()
        if not stats.running and not stats.waiting and not engine._streams:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("sequences are left over")


def test_many_at_once_agree_with_the_reference() -> None:
    oracle = Oracle(PLAIN)
    prompts = [tuple(random.Random(i).choices(range(96), k=5 + 7 * i)) for i in range(8)]

    async def run() -> None:
        async with running(loaded(PLAIN)) as engine:
            answers = await asyncio.gather(*(collect(engine, request(*prompt)) for prompt in prompts))
            for prompt, got in zip(prompts, answers, strict=True):
                assert list(got.tokens) == oracle.greedy(prompt, 8)
                assert got.finish == "length"
                assert got.usage is not None
                assert (got.usage.prompt, got.usage.completion, got.usage.cached) == (len(prompt), 8, 0)
            stats = engine.stats()
            assert (stats.prompt_tokens, stats.generated_tokens) == (sum(map(len, prompts)), 64)
            assert stats.pages_used == 0
            assert stats.pages_free + stats.pages_cached == stats.pages_total

    asyncio.run(run())


def test_same_seed_same_tokens_in_any_company() -> None:
    mine = request(1, 2, 3, temperature=1.0, seed=5, max_tokens=20, top_p=0.9)

    async def run() -> None:
        async with running(loaded(PLAIN, limits=replace(LIMITS, max_step_tokens=16, mixed_step_tokens=5))) as engine:
            alone = await collect(engine, mine)
            others = [request(*range(i, i + 30), temperature=1.0, max_tokens=25) for i in range(5)]
            company, *_ = await asyncio.gather(collect(engine, mine), *(collect(engine, other) for other in others))
            assert alone.tokens == company.tokens
            other_seed = await collect(engine, replace(mine, sampling=replace(mine.sampling, seed=6)))
            assert other_seed.tokens != alone.tokens

    asyncio.run(run())


def test_without_a_seed_answers_differ() -> None:
    async def run() -> None:
        async with running(loaded(PLAIN)) as engine:
            answers = {(await collect(engine, request(1, 2, temperature=1.0))).tokens for _ in range(4)}
            assert len(answers) > 1

    asyncio.run(run())


def test_closing_the_generator_aborts() -> None:
    async def run() -> None:
        async with running(loaded(PLAIN)) as engine:
            stream = engine.generate(request(*range(40), max_tokens=100))
            await anext(stream)
            await stream.aclose()
            await until_idle(engine)
            stats = engine.stats()
            assert (stats.aborts, stats.pages_used) == (1, 0)

    asyncio.run(run())


def test_a_hundred_hang_up_at_random_moments() -> None:
    async def leave(engine: EmbeddedEngine, rnd: random.Random) -> None:
        prompt = [rnd.randrange(96) for _ in range(rnd.randint(1, 60))]
        task = asyncio.create_task(collect(engine, request(*prompt, max_tokens=60)))
        await asyncio.sleep(rnd.random() * 0.3)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def run() -> None:
        async with running(loaded(PLAIN, pages=24, limits=replace(LIMITS, max_running=6))) as engine:
            await asyncio.gather(*(leave(engine, random.Random(i)) for i in range(100)))
            await until_idle(engine)
            stats = engine.stats()
            assert stats.aborts > 30
            assert stats.pages_used == 0
            assert (await collect(engine, request(1, 2, 3))).finish == "length"

    asyncio.run(run())


def test_the_time_of_grammars_is_told_also_of_those_that_nobody_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, given_up = threading.Event(), threading.Event()

    def compile(*_: object) -> Any:
        begun.set()
        given_up.wait(60)
        raise InvalidGrammar("no")

    async def run() -> None:
        told, loop = asyncio.Queue[float](), asyncio.get_running_loop()
        mine = replace(request(1, 2), grammar=JsonObject(), charge=lambda seconds: loop.call_soon_threadsafe(told.put_nowait, seconds))
        async with running(loaded(PLAIN)) as engine, asyncio.timeout(60):
            monkeypatch.setattr(engine._grammars, "compile", compile)
            waiting = asyncio.create_task(collect(engine, mine))
            await asyncio.to_thread(begun.wait, 60)
            waiting.cancel()
            await asyncio.wait([waiting])
            given_up.set()
            assert await told.get() > 0
            with pytest.raises(InvalidGrammar):
                await collect(engine, mine)
            assert await told.get() > 0

    asyncio.run(run())


def test_the_prefix_cache_tells_nobody_what_others_sent() -> None:
    """By the count of cached tokens: every guess of B's finds the shared beginning and what B itself has sent, right or wrong."""
    shared, secret = tuple(range(32)), (90, *range(40, 70))

    async def run() -> None:
        async with running(loaded(PLAIN, pages=200), shared=[shared, (5, 6)]) as engine:

            async def cached(owner: str, *tokens: int, salt: str = "") -> int:
                found = await collect(engine, replace(request(*tokens, max_tokens=1), owner=owner, salt=salt))
                assert found.usage is not None
                return found.usage.cached

            assert await cached("a", *shared, *secret) == 0
            assert await cached("a", *shared, *secret) == 48
            assert [await cached(owner, *shared, *secret, salt="s") for owner in ("a", "a", "")] == [32, 48, 32]
            assert {await cached(f"b{guess}", *shared, guess, *secret[1:]) for guess in range(80, 96)} == {32}
            assert [await cached("c", *shared, guess, *secret[1:]) for guess in (90, 91, 90)] == [32, 32, 48]
            assert await cached("", *shared, *secret) == 32
            assert await cached("a", 5, 6, *secret, *secret) == 0
            assert await cached("b", 5, 6, *secret, *secret) == 0  # the page on which the shared beginning ends is private

    asyncio.run(run())


def test_nobody_waits_for_a_page_of_another_owner() -> None:
    """A prompt that is being computed for one owner delays that of another as any other prompt does."""

    async def run() -> None:
        async with running(loaded(PLAIN, limits=replace(LIMITS, max_step_tokens=32))) as engine:
            wanted = request(*range(90), max_tokens=2)
            found = await asyncio.gather(*(collect(engine, replace(wanted, owner=owner)) for owner in ("a", "b", "a")))
            assert [one.usage.cached for one in found if one.usage] == [0, 0, 80]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        (request(), EngineError, "no tokens"),
        (request(*range(96), *range(96)), PromptTooLong, f"192 tokens.*{CONTEXT}"),
        (request(1, 96), EngineError, "token 96"),
        (request(-1), EngineError, "token -1"),
        (request(1, logit_bias=((200, 1.0),)), EngineError, "token 200"),
        (request(1, max_tokens=-1), EngineError, "max_tokens"),
        (request(1, bad_words=((3, 99),)), EngineError, "token 99"),
        (request(1, bad_words=((),)), EngineError, "bad_words"),
        (request(*range(96), *range(64), max_tokens=1), PromptTooLong, f"160 tokens.*{CONTEXT}"),
    ],
)
def test_what_is_refused(bad: Request, error: type[EngineError], words: str) -> None:
    async def run() -> None:
        async with running(loaded(PLAIN)) as engine:
            with pytest.raises(error, match=words):
                await collect(engine, bad)
            assert engine.alive

    asyncio.run(run())


def test_a_prompt_longer_than_all_memory() -> None:
    async def run() -> None:
        async with running(loaded(PLAIN, pages=3)) as engine:
            assert engine.info.context == 48
            with pytest.raises(PromptTooLong, match=r"50 tokens.*48"):
                await collect(engine, request(*range(50)))
            got = await collect(engine, request(*range(40), max_tokens=100))
            assert (got.finish, len(got.tokens)) == ("length", 8)

    asyncio.run(run())


def test_queue_full() -> None:
    async def run() -> None:
        async with running(loaded(PLAIN, limits=replace(LIMITS, max_running=1, max_waiting=2))) as engine:
            tasks = [asyncio.create_task(collect(engine, request(1, i, max_tokens=20))) for i in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(QueueFull, match="3 requests"):
                await collect(engine, request(1, 2))
            assert {(await task).finish for task in tasks} == {"length"}
            assert (await collect(engine, request(1, 2))).finish == "length"

    asyncio.run(run())


def test_priority() -> None:
    async def run() -> None:
        async with running(loaded(PLAIN, limits=replace(LIMITS, max_running=1))) as engine:
            order: list[int] = []

            async def ask(priority: int) -> None:
                await collect(engine, replace(request(1, priority, max_tokens=30), priority=priority))
                order.append(priority)

            first = asyncio.create_task(ask(9))
            while not engine.stats().running:
                await asyncio.sleep(0.001)
            await asyncio.gather(first, *(ask(priority) for priority in (3, 1, 2)))
            assert order[-3:] == [1, 2, 3]

    asyncio.run(run())


def test_a_dead_thread_tells_everybody() -> None:
    async def run() -> None:
        broken = loaded(PLAIN)

        class Model:
            steps = 0

            def __call__(self, tokens_T: torch.Tensor, batch: object) -> torch.Tensor:
                self.steps += 1
                if self.steps > 3:
                    raise RuntimeError("the device is on fire")
                return broken.model(tokens_T, batch)  # type: ignore[arg-type]

            def logits(self, x_SD: torch.Tensor) -> torch.Tensor:
                return broken.model.logits(x_SD)

        engine = EmbeddedEngine(replace(broken, model=Model()))
        results = await asyncio.gather(*(collect(engine, request(1, i, max_tokens=50)) for i in range(3)), return_exceptions=True)
        assert [str(r) for r in results if isinstance(r, EngineStopped)] == ["the engine has failed: the device is on fire"] * 3
        assert not engine.alive
        with pytest.raises(EngineStopped, match="on fire"):
            await collect(engine, request(1))
        await engine.close()

    asyncio.run(run())


def test_close_stops_those_who_wait() -> None:
    async def run() -> None:
        engine = EmbeddedEngine(loaded(PLAIN))
        task = asyncio.create_task(collect(engine, request(1, 2, max_tokens=150)))
        await asyncio.sleep(0.02)
        await engine.close()
        with pytest.raises(EngineStopped, match="shutting down"):
            await task
        with pytest.raises(EngineStopped):
            await collect(engine, request(1))

    asyncio.run(run())


def test_slow_readers_get_joined_deltas() -> None:
    async def run() -> None:
        async with running(loaded(PLAIN)) as engine:
            stream = engine.generate(request(1, 2, max_tokens=30, logprobs=0))
            deltas = [await anext(stream)]
            await until_idle_but_open(engine)
            deltas += [delta async for delta in stream]
            assert sum(len(d.tokens) for d in deltas) == sum(len(d.logprobs) for d in deltas) == 30
            assert len(deltas) < 10
            assert deltas[-1].usage is not None

    async def until_idle_but_open(engine: EmbeddedEngine) -> None:
        while engine.stats().running:
            await asyncio.sleep(0.01)

    asyncio.run(run())


class Failing:
    """A model whose logits are no numbers from the `first`-th step on, but for steps in `good`."""

    def __init__(self, model: Any, first: int = 0, good: tuple[int, ...] = ()) -> None:
        self.model, self.first, self.good, self.steps = model, first, good, 0

    def __call__(self, tokens_T: torch.Tensor, batch: Any) -> torch.Tensor:
        return self.model(tokens_T, batch)

    def logits(self, x_SD: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        bad = self.steps > self.first and self.steps not in self.good
        return self.model.logits(x_SD) * (torch.nan if bad else 1)


def test_damaged_weights_are_noticed_at_start() -> None:
    for first, fine in ((0, False), (1, True)):
        broken = loaded(PLAIN)
        engine = EmbeddedEngine(replace(broken, model=Failing(broken.model, first)))
        assert engine.has_finite_logits() == fine
        assert engine.stats().pages_free == engine.stats().pages_total
        asyncio.run(engine.close())


def test_numbers_that_are_none_end_the_engine(caplog: pytest.LogCaptureFixture) -> None:
    """Not at once: a single answer may fail by its input."""

    async def run() -> None:
        broken = loaded(PLAIN)
        engine = EmbeddedEngine(replace(broken, model=Failing(broken.model, good=(3, 6, 7))))
        ends = [(await collect(engine, request(i, 1, max_tokens=1))).finish for i in range(9)]
        assert ends == ["abort", "abort", "length", "abort", "abort", "length", "length", "abort", "abort"]
        assert engine.alive
        with suppress(EngineStopped):
            await collect(engine, request(7, max_tokens=1))
        with pytest.raises(EngineStopped, match="numbers are not finite"):
            await collect(engine, request(8, max_tokens=1))
        assert not engine.alive
        await engine.close()

    asyncio.run(run())
    assert sum("numbers are not finite" in record.message for record in caplog.records) >= 3
