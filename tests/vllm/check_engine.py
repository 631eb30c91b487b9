"""vLLM's engine in this process, with SmolLM2. Not collected by itself: it needs the environment of environment.py."""

import asyncio
import json
import multiprocessing
import os
import re
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from engine.api import (
    IDLE_PRIORITY,
    Choice,
    Closing,
    Delta,
    EngineError,
    EngineStopped,
    InvalidGrammar,
    JsonObject,
    JsonSchema,
    Lark,
    PromptTooLong,
    QueueFull,
    Regex,
    Request,
    Sampling,
    ThoughtBudget,
)
from engine.vllm.client.engine import VllmEngine
from engine.vllm.client.options import VllmOptions, open_vllm
from server.text.tokenizer import ChatTokenizer, load_tokenizer
from server.weights.progress import no_progress
from server.weights.pull import pull
from server.weights.safetensors_copy import as_safetensors

PARALLEL = json.loads(os.environ.get("TEST_PARALLEL", "{}"))  # more options
CONTEXT, RUNNING, WAITING = 1024, 4, 4
SCHEMA = {"type": "object", "properties": {"a": {"enum": ["red", "blue"]}}, "required": ["a"], "additionalProperties": False}
TEXT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


@dataclass
class World:
    engine: VllmEngine
    text: ChatTokenizer
    runner: asyncio.Runner

    def prompt(self, question: str = "Name three colours, please.") -> tuple[int, ...]:
        return self.text.encode(TEXT.format(question), parse_special=True)

    def answer(self, request: Request) -> Delta:
        return self.runner.run(collect(self.engine, request))

    def said(self, delta: Delta) -> str:
        return self.text.backend.decode(delta.tokens)

    def ask(self, question: str = "Name three colours, please.", **options: Any) -> Request:
        more = {name: options.pop(name) for name in ("grammar", "closing", "thoughts", "owner", "salt", "priority") if name in options}
        return Request(tokens=self.prompt(question), sampling=Sampling(**{"max_tokens": 24, "temperature": 0.0, **options}), **more)


async def collect(engine: VllmEngine, request: Request) -> Delta:
    out = Delta()
    async for delta in engine.generate(request):
        assert out.finish is None
        out = Delta(
            tokens=out.tokens + delta.tokens,
            logprobs=out.logprobs + delta.logprobs,
            prompt_logprobs=out.prompt_logprobs + delta.prompt_logprobs,
            finish=delta.finish,
            usage=delta.usage or out.usage,
            forced=out.forced or delta.forced,
        )
    return out


@pytest.fixture(scope="module")
def folder() -> Path:
    return as_safetensors(pull("smollm2"), no_progress)


@pytest.fixture(scope="module")
def world(folder: Path) -> Iterator[World]:
    options = VllmOptions(
        directory=folder,
        context=CONTEXT,
        kv_memory=256 << 20,
        max_running=RUNNING,
        max_waiting=WAITING,
        **{"eager": True, **PARALLEL},
    )
    engine = open_vllm(options)
    with asyncio.Runner() as runner:
        yield World(engine, load_tokenizer(folder), runner)
        runner.run(engine.close())


def test_what_vllm_cannot_divide_is_told(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"^vLLM: .*attention heads \(9\) must be divisible by tensor parallel size \(2\)"):
        open_vllm(VllmOptions(directory=folder, max_running=1, max_waiting=1, tensor_parallel=2))
    with pytest.raises(ValueError, match="enforce_eager"):
        open_vllm(VllmOptions(directory=folder, max_running=1, max_waiting=1, pipeline_parallel=2, eager=True))


def test_paris(world: World) -> None:
    answer = world.answer(world.ask("What is the capital of France?", stop_tokens=frozenset({2})))
    assert "Paris" in world.said(answer) and answer.finish == "stop" and answer.tokens[-1] == 2
    assert answer.usage is not None and answer.usage.completion == len(answer.tokens)


def test_seeds_decide(world: World) -> None:
    one, again, other = (world.answer(world.ask(temperature=1.0, seed=seed)) for seed in (3, 3, 4))
    assert one.tokens == again.tokens != other.tokens
    unseeded = {world.answer(world.ask(temperature=1.0)).tokens for _ in range(3)}
    assert len(unseeded) > 1


def test_log_probabilities(world: World) -> None:
    request = world.ask(logprobs=3, prompt_logprobs=2, max_tokens=4)
    answer = world.answer(request)
    assert tuple(one.token for one in answer.logprobs) == answer.tokens
    assert tuple(one.token for one in answer.prompt_logprobs) == request.tokens[1:]
    for one in answer.logprobs:
        assert one.top[0] == (one.token, one.logprob) and len(one.top) == 3
        assert [p for _, p in one.top] == sorted((p for _, p in one.top), reverse=True)
    assert world.answer(request) == answer  # also from a cache that knows the prompt


@pytest.mark.parametrize(
    ("grammar", "form"),
    [
        (JsonSchema(schema=json.dumps(SCHEMA)), r'\s*\{\s*"a"\s*:\s*"(red|blue)"\s*\}\s*'),
        (Regex(pattern="[a-z]{5}"), "[a-z]{5}"),
        (Choice(options=("red", "blue")), "red|blue"),
        (Lark(source='start: "x" /[0-9]{3}/'), "x[0-9]{3}"),
    ],
)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_answers_fit_their_grammar(world: World, grammar: Any, form: str, temperature: float) -> None:
    answer = world.answer(world.ask(grammar=grammar, closing=Closing(), max_tokens=40, temperature=temperature, seed=1, logprobs=1))
    assert re.fullmatch(form, world.said(answer)) and answer.finish in ("stop", "length") and len(answer.logprobs) == len(answer.tokens)


@pytest.mark.parametrize("bad", [Lark(source="start: foo"), Regex(pattern="(("), JsonSchema(schema="{"), Choice(options=())])
def test_a_grammar_that_is_none_is_refused_at_once(world: World, bad: Any) -> None:
    with pytest.raises(InvalidGrammar):
        world.answer(world.ask(grammar=bad))


@pytest.mark.parametrize("most", [8, 20, 33])
def test_an_answer_is_brought_to_its_end(world: World, most: int) -> None:
    answer = world.answer(world.ask("Write a long story as JSON.", grammar=JsonObject(), closing=Closing(), max_tokens=most))
    assert isinstance(json.loads(world.said(answer)), dict) and len(answer.tokens) <= most
    assert (answer.finish, answer.forced) == ("length", True)


@dataclass
class Watch:
    """Thoughts until a token."""

    close: int
    thinking: bool = True
    count: int = 0

    def accept(self, token: int) -> None:
        self.thinking = self.thinking and token != self.close
        self.count += self.thinking


@pytest.mark.parametrize("count", [0, 1, 9])
@pytest.mark.parametrize("grammar", [None, Lark(source="start: /(.|\\n)+/")])
def test_thoughts_end_after_so_many_tokens(world: World, count: int, grammar: Lark | None) -> None:
    close, gap = world.text.encode("]"), world.text.encode("\n")
    budget = ThoughtBudget(tokens=count, end=(*close, *gap), reopening=(world.text.encode("["),), watch=partial(Watch, close[0]))
    limited = world.answer(world.ask(thoughts=budget, grammar=grammar, max_tokens=20, seed=2, temperature=1.0, logprobs=0))
    assert limited.tokens[count : count + 2] == budget.end and len(limited.tokens) == len(limited.logprobs) == 20
    assert limited.finish == "length" and limited.usage is not None
    assert (limited.usage.prompt, limited.usage.completion) == (len(world.prompt()), 20)
    assert close[0] not in limited.tokens[:count] and budget.reopening[0][0] not in limited.tokens[count:]


def test_both_samplers_mean_the_same(world: World) -> None:
    """A word that never comes makes this project's sampler choose from vLLM's numbers."""
    options: dict[str, Any] = {
        "presence_penalty": 0.7,
        "frequency_penalty": 0.6,
        "repetition_penalty": 1.2,
        "logit_bias": ((33, -5.0), (28, 3.0)),
        "min_tokens": 5,
        "stop_tokens": frozenset({2, 30}),
        "max_tokens": 40,
    }
    theirs, ours = world.answer(world.ask(**options)), world.answer(world.ask(**options, bad_words=((0, 0, 0),)))
    assert theirs.tokens == ours.tokens and theirs.finish == ours.finish and len(theirs.tokens) >= 5
    plain = world.answer(world.ask())
    assert theirs.tokens[:5] != plain.tokens[:5]


def test_words_that_are_forbidden(world: World) -> None:
    plain = world.answer(world.ask())
    pair = (plain.tokens[2], plain.tokens[3])
    found = world.answer(world.ask(bad_words=(pair,))).tokens
    assert found[:3] == plain.tokens[:3] and pair not in pairwise(found)


def test_the_prompt_alone(world: World) -> None:
    answer = world.answer(world.ask(max_tokens=0, prompt_logprobs=0))
    assert (answer.tokens, answer.finish) == ((), "length") and len(answer.prompt_logprobs) == len(world.prompt()) - 1


def test_what_one_has_sent_another_cannot_tell(world: World) -> None:
    long = "You know all colours of all things. " * 20
    cached = []
    for owner, salt in (("", ""), ("a", ""), ("a", ""), ("a", "x"), ("a", "x"), ("b", "")):
        usage = world.answer(world.ask(long, owner=owner, salt=salt, max_tokens=1)).usage
        cached.append(usage.cached if usage else -1)
    assert [bool(one) for one in cached] == [False, False, True, False, True, False] and cached[2] > 100


@pytest.mark.parametrize(
    ("bad", "error"),
    [({"tokens": (1,) * CONTEXT}, PromptTooLong), ({"tokens": ()}, EngineError), ({"tokens": (49152,)}, EngineError)],
)
def test_what_is_refused(world: World, bad: dict[str, Any], error: type[EngineError]) -> None:
    with pytest.raises(error):
        world.answer(replace(world.ask(), **bad))


def test_leaving_an_answer_aborts_it(world: World) -> None:
    async def run() -> None:
        aborts = world.engine.stats().aborts
        for request in (endless(world), replace(endless(world), grammar=Regex(pattern=".*"))):
            async with aclosing(world.engine.generate(request)) as answer:
                await anext(answer)
                assert world.engine.stats().running == 1 and world.engine.stats().pages_used > 0
        await collect(world.engine, world.ask(max_tokens=2))  # the scheduler tells after a step what it holds
        assert sum(world.engine._figures.usage.values()) == 0
        assert world.engine.stats().aborts == aborts + 2 and world.engine.stats().running == 0

    world.runner.run(run())


def endless(world: World, **options: Any) -> Request:
    return world.ask(**{"max_tokens": 900, "logit_bias": ((2, -100.0),), **options})


def test_a_full_queue(world: World) -> None:
    async def run() -> None:
        tasks = [asyncio.create_task(collect(world.engine, endless(world))) for _ in range(RUNNING + WAITING)]
        await asyncio.sleep(0.1)
        with pytest.raises(QueueFull):
            await collect(world.engine, world.ask())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (await collect(world.engine, world.ask(max_tokens=1))).finish == "length"

    world.runner.run(run())


def test_who_matters_more_comes_first(world: World) -> None:
    async def run() -> list[str]:
        busy = [asyncio.create_task(collect(world.engine, world.ask(max_tokens=30 + 10 * i, min_tokens=30))) for i in range(RUNNING)]
        await asyncio.sleep(0.5)
        order = list[str]()

        async def note(name: str, priority: int) -> None:
            await collect(world.engine, world.ask(max_tokens=1, priority=priority))
            order.append(name)

        await asyncio.gather(note("late", 5), note("middle", 0), note("early", -5), *busy)
        return order

    assert world.runner.run(run())[0] == "early"


def test_idle_time_ends_when_somebody_comes(world: World) -> None:
    """And the answer goes on behind."""

    async def run() -> tuple[list[str], Delta]:
        seen, idle = list[str](), world.ask(max_tokens=30, min_tokens=30, priority=IDLE_PRIORITY)

        async def slowly() -> Delta:
            out = Delta()
            async for delta in world.engine.generate(idle):
                seen.append("idle")
                out = Delta(tokens=out.tokens + delta.tokens, finish=delta.finish, usage=delta.usage)
            return out

        task = asyncio.create_task(slowly())
        while len(seen) < 3:
            await asyncio.sleep(0.01)
        async for _ in world.engine.generate(world.ask(max_tokens=20, min_tokens=20)):
            seen.append("other")
        return seen, await task

    seen, answer = world.runner.run(run())
    first, last = seen.index("other"), len(seen) - 1 - seen[::-1].index("other")
    assert seen[first : last + 1].count("idle") <= 1  # one step was on its way
    assert last < len(seen) - 5 and len(answer.tokens) == 30 and answer.usage is not None and answer.usage.completion == 30


def test_death(world: World) -> None:
    """The last test: nothing answers behind it."""

    async def run() -> None:
        answer = world.engine.generate(endless(world))
        await anext(answer)
        (core,) = (process for process in multiprocessing.active_children() if process.name.startswith("EngineCore"))
        core.kill()
        with pytest.raises(EngineStopped):
            async for _ in answer:
                pass
        assert not world.engine.alive
        with pytest.raises(EngineStopped):
            await collect(world.engine, world.ask())

    world.runner.run(run())
