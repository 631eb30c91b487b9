"""Guessed tokens change nothing but the number of steps: whatever is guessed, the same tokens and logprobs come, bit for bit on the
compiled kernels, and the books balance after each step."""

import asyncio
import random
from collections.abc import Sequence as Several
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.api import Closing, Delta, JsonSchema, Request, Sampling, ThoughtBudget
from engine.embedded.core import Core
from engine.embedded.kernels.library import Library
from engine.embedded.sequence import Sequence
from engine.embedded.speculation.ngram import LONGEST, SHORTEST, NGrams, look_up
from engine.embedded.speculation.pace import FIRST, MOST, PATIENCE, Pace
from tests.engine.test_closing import END, MODEL, path  # noqa: F401
from tests.engine.test_company import ARCHS, answer, engine, requests
from tests.engine.test_states import ARCHS as STATES
from tests.engine.test_thoughts import CLOSE, GAP, OPEN, Watch
from tests.engine.tiny import LIMITS, PLAIN, WINDOWED, Oracle, collect, core, drain, greedy, loaded, running, sequence


class Told:
    """Guesses what it was told that the answers are, with a wrong token here and there."""

    def __init__(self, answers: dict[tuple[int, ...], list[int]], seed: int, right: float) -> None:
        self._answers, self._random, self._right = answers, random.Random(seed), right
        self.drafted = 0

    def draft(self, wanted: Several[tuple[Sequence, int]]) -> list[NDArray[np.int64]]:
        return [self._one(seq, most) for seq, most in wanted]

    def _one(self, seq: Sequence, most: int) -> NDArray[np.int64]:
        rest = [*self._answers[seq.request.tokens], *[0] * most][seq.generated : seq.generated + self._random.randint(0, most)]
        self.drafted += len(rest)
        return np.array([token if self._random.random() < self._right else (token + 1) % 96 for token in rest], np.int64)


def run(core: Core, asked: list[tuple[list[int], Sampling]]) -> tuple[list[list[int]], list[Delta]]:
    """Answers, and all deltas of each as one. A second request comes a step after the first, and so on."""
    seqs, deltas = [sequence(core, *each) for each in asked], dict[Sequence, Delta]()
    waiting = seqs[::-1]
    with torch.inference_mode():
        while waiting or not core.idle:
            if waiting:
                core.add(waiting.pop())
            for seq, new in core.step():
                old = deltas.get(seq, Delta())
                assert old.finish is None and len(new.tokens) <= 1
                usage = new.usage or old.usage
                deltas[seq] = replace(new, tokens=old.tokens + new.tokens, logprobs=old.logprobs + new.logprobs, usage=usage)
            core.memory.check()
    return [answer(seq) for seq in seqs], [deltas[seq] for seq in seqs]


@pytest.mark.parametrize("name", ARCHS)
@given(seed=st.integers(0, 10_000), right=st.sampled_from([0.0, 0.7, 0.95, 1.0]), pages=st.integers(12, 30), running=st.integers(1, 6))
@settings(max_examples=6, deadline=None, database=None)
def test_guesses_change_nothing(library: Library, name: str, seed: int, right: float, pages: int, running: int) -> None:
    """Pages, windows, latents and states; greedy and seeded; in company, with preemption and prefix hits; logprobs, penalties and
    stop tokens."""
    arch, rnd = ARCHS[name], random.Random(seed)
    more = [
        {},
        {"logprobs": 2},
        {"repetition_penalty": 1.3, "frequency_penalty": 0.2},
        {"stop_tokens": frozenset(range(8)), "min_tokens": 5},
    ]
    asked = [(prompt, replace(sampling, **rnd.choice(more))) for prompt, sampling in requests(seed)]
    alone = [run(engine(library, arch, 64, LIMITS), [each]) for each in asked]
    told = Told({tuple(prompt): answers[0] for (prompt, _), (answers, _) in zip(asked, alone, strict=True)}, seed, right)
    limits = replace(LIMITS, max_running=running, max_step_tokens=rnd.randint(16, 90), mixed_step_tokens=9)
    answers, deltas = run(engine(library, arch, pages, limits, told), asked)
    assert answers == [answers[0] for answers, _ in alone]
    for mine, (_, (other,)) in zip(deltas, alone, strict=True):
        assert mine.logprobs == other.logprobs and mine.finish == other.finish
        assert mine.usage is not None and other.usage is not None and mine.usage.completion == other.usage.completion


@pytest.mark.parametrize("name", ARCHS)
def test_right_guesses_save_steps(library: Library, name: str) -> None:
    prompt, sampling = [7, 8, 9], Sampling(max_tokens=60, temperature=1.0, seed=3)
    (want,), _ = run(engine(library, ARCHS[name], 64, LIMITS), [(prompt, sampling)])
    quick = engine(library, ARCHS[name], 64, LIMITS, Told({tuple(prompt): want}, 0, 1.0))
    seq, steps = sequence(quick, prompt, sampling), 0
    quick.add(seq)
    with torch.inference_mode():
        while not quick.idle:
            quick.step()
            steps += 1
    stats = quick.stats()
    assert answer(seq) == want and steps < 40
    assert stats.drafted_tokens == stats.accepted_tokens > 20 and stats.generated_tokens == 60
    assert stats.pages_used == stats.slots_used == 0


@pytest.mark.parametrize("arch", [PLAIN, WINDOWED, *STATES.values()], ids=["plain", "windowed", *STATES])
def test_on_torch(arch: object) -> None:
    prompts, oracle = [[5, 6, 7] * 3, [1, 2, 3, 4] * 5], Oracle(arch)  # type: ignore[arg-type]
    want = [oracle.greedy(tuple(prompt), 50) for prompt in prompts]
    told = Told({tuple(prompt): answers for prompt, answers in zip(prompts, want, strict=True)}, 0, 0.8)
    answers, _ = run(core(arch, drafter=told), [(prompt, greedy(50)) for prompt in prompts])  # type: ignore[arg-type]
    assert answers == want and told.drafted


def test_who_does_not_want_it_gets_no_guesses() -> None:
    told = Told({(5, 6): [0] * 20}, 0, 1.0)
    speculating = core(PLAIN, drafter=told)
    request = Request(tokens=(5, 6), sampling=greedy(20), speculative=False)
    seq = sequence(speculating, [5, 6], greedy(20))
    plain = Sequence(request, 0, 22, speculating.memory.tables(22), seq.sampler)
    speculating.add(plain)
    drain(speculating)
    assert plain.generated == 20 and not told.drafted


def test_no_guesses_where_many_run() -> None:
    asked = [([i, i + 1], greedy(20)) for i in range(9)]
    told = Told({tuple(prompt): [0] * 20 for prompt, _ in asked}, 0, 1.0)
    speculating = core(PLAIN, drafter=told)
    for prompt, sampling in asked:
        speculating.add(sequence(speculating, prompt, sampling))
    drain(speculating)
    assert not told.drafted


def test_aborted_between_guesses(library: Library) -> None:
    for arch in ARCHS.values():
        told = Told({(1, 2, 3): [0] * 60}, 0, 1.0)
        speculating = engine(library, arch, 64, LIMITS, told)
        seq = sequence(speculating, [1, 2, 3], greedy(60))
        speculating.add(seq)
        with torch.inference_mode():
            for _ in range(6):
                speculating.step()
        speculating.abort(seq)
        speculating.memory.check()
        assert told.drafted and speculating.stats().pages_used == speculating.stats().slots_used == 0


def test_grammars_their_ends_and_budgets_of_thoughts(path: Path) -> None:  # noqa: F811
    """A matcher goes on with what is chosen only, never with a guess."""
    grammar, prompt = JsonSchema(schema='{"type": "array", "items": {"enum": ["yes yes", "no no"]}}'), (60, 61, 62)
    sampling = Sampling(max_tokens=90, temperature=0.9, seed=4, stop_tokens=frozenset((END,)))
    closed = Request(tokens=prompt, sampling=sampling, grammar=grammar, closing=Closing())
    thinking = ThoughtBudget(tokens=20, end=(CLOSE, GAP), reopening=((OPEN,),), watch=partial(Watch, True))
    thoughtful = Request(tokens=prompt, sampling=replace(sampling, logit_bias=((CLOSE, -100.0),)), thoughts=thinking)

    async def both(request: Request) -> tuple[Delta, Delta, int]:
        quick = replace(loaded(MODEL, path, (END,)), drafter=NGrams())
        async with running(quick) as engine:
            found = await collect(engine, request), await collect(engine, replace(request, speculative=False))
            return *found, engine.stats().accepted_tokens

    for request in (closed, thoughtful):
        quick, plain, accepted = asyncio.run(both(request))
        assert quick.tokens == plain.tokens and quick.finish == plain.finish
        assert accepted or request is thoughtful


@pytest.mark.parametrize(
    ("text", "most", "want"),
    [
        ([1, 2, 3, 4, 5, 1, 2, 3], 2, [4, 5]),
        ([1, 2, 3, 4, 9, 1, 2, 3, 5, 9, 1, 2, 3], 1, [5]),  # the latest
        ([0, 1, 2, 3, 4, 9, 1, 2, 3, 5, 0, 1, 2, 3], 1, [4]),  # the longest
        ([7, 8, 7, 8, 7, 8, 7], 5, [8, 7, 8, 7, 8]),  # a loop goes on
        ([1, 2, 3, 4, 2, 3], 4, []),  # too short
        ([1, 2, 3], 4, []),
        ([1, 2, 3, 4, 1, 2, 3], 0, []),
    ],
)
def test_look_up(text: list[int], most: int, want: list[int]) -> None:
    assert look_up(np.array(text, np.int64), most).tolist() == want


@given(st.lists(st.integers(0, 2), min_size=1, max_size=60), st.integers(1, 9))
@settings(max_examples=200, deadline=None, database=None)
def test_look_up_finds_what_a_plain_search_does(text: list[int], most: int) -> None:
    want: list[int] = []
    for length in range(min(LONGEST, len(text) - 1), SHORTEST - 1, -1):
        ends = [at + length for at in range(len(text) - length) if text[at : at + length] == text[-length:]]
        if ends:
            want = [(text[ends[-1] :] * most)[i] for i in range(most)]
            break
    assert look_up(np.array(text, np.int64), most).tolist() == want


def test_pace() -> None:
    pace = Pace()
    assert pace.length == FIRST
    for _ in range(4):
        pace.told(pace.length, pace.length)
    assert pace.length == MOST
    pauses = []
    for _ in range(7):
        pace.told(3, 0)
        pauses.append(0)
        while not pace.length:
            pace.passed()
            pauses[-1] += 1
    assert pauses == sorted(pauses) and pauses[-1] == PATIENCE


def test_repetitive_answers_are_found() -> None:
    """A tiny model with random weights repeats itself before long."""
    oracle, speculating = Oracle(PLAIN), core(PLAIN, drafter=NGrams())
    seq = sequence(speculating, [1, 2, 3, 4] * 4, greedy(120))
    speculating.add(seq)
    drain(speculating)
    assert answer(seq) == oracle.greedy((1, 2, 3, 4) * 4, 120)
