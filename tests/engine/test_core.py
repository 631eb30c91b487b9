"""embedded == reference, under random chunking, preemption, prefix hits and company."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.api import IDLE_PRIORITY
from engine.embedded.core import Core
from engine.embedded.sequence import Sequence
from engine.embedded.step.capture import Captured
from engine.embedded.step.inputs import Shape
from models.spec import Arch
from tests.engine.mixes import archs
from tests.engine.tiny import ARCHS, LIMITS, PLAIN, WINDOWED, Oracle, answer, core, drain, greedy, sequence

QUICK = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)


@pytest.fixture(scope="module")
def oracles() -> dict[str, Oracle]:
    return {name: Oracle(arch) for name, arch in ARCHS.items()}


def agree(oracle: Oracle, seq: Sequence, delta_logprobs: list[float]) -> None:
    """Every sampled token is the reference's best one (ties within rounding aside), with its logprob."""
    tokens = seq.tokens[: seq.length].tolist()
    logprobs_TY = oracle.logits(tokens[:-1]).log_softmax(-1)[seq.prompt - 1 :]
    assert len(logprobs_TY) == len(delta_logprobs) == seq.generated
    for row_Y, token, logprob in zip(logprobs_TY, tokens[seq.prompt :], delta_logprobs, strict=True):
        assert row_Y[token] > row_Y.max() - 1e-4
        assert logprob == pytest.approx(float(row_Y[token]), abs=1e-4)


class Recorded:
    """A recorder that records nothing, and pads all steps that give each sequence one token."""

    def fit(self, shape: Shape, most: Shape) -> Shape | None:
        rows = min(most.rows, shape.rows + 2)
        return Shape(rows, rows, min(most.width, shape.width + 3)) if shape.tokens == shape.rows else None

    def record(self, step: Callable[[], Tensor]) -> Captured:
        return Replayed(step)


class Replayed:
    def __init__(self, replay: Callable[[], Tensor]) -> None:
        self.replay = replay


def traffic(seed: int) -> list[tuple[int, tuple[int, ...], int, int]]:
    """(step at which it arrives, prompt, tokens wanted, priority); prompts share beginnings."""
    rnd = random.Random(seed)
    stems = [tuple(rnd.choices(range(96), k=rnd.choice([0, 15, 16, 33, 70]))) for _ in range(3)]
    count = rnd.randint(1, 6)
    return [
        (
            rnd.randrange(12),
            rnd.choice(stems) + tuple(rnd.choices(range(96), k=rnd.randint(1, 30))),
            rnd.randint(1, 18),
            rnd.choice([0, 0, 1, IDLE_PRIORITY]),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("name", ARCHS)
@given(data=st.data())
@QUICK
def test_same_tokens_as_the_reference(oracles: dict[str, Oracle], name: str, data: st.DataObject) -> None:
    limits = replace(
        LIMITS,
        max_running=data.draw(st.integers(1, 6)),
        max_step_tokens=data.draw(st.integers(3, 90)),
        mixed_step_tokens=data.draw(st.integers(3, 40)),
    )
    recorder = Recorded() if data.draw(st.booleans()) else None
    engine = core(ARCHS[name], pages=data.draw(st.integers(10, 24)), limits=limits, recorder=recorder)
    requests = traffic(data.draw(st.integers(0, 10_000)))
    seqs, logprobs = run(engine, requests)
    for seq in seqs:
        assert seq.finish == "length"
        agree(oracles[name], seq, logprobs[seq])
    engine.memory.check()
    assert engine.stats().pages_used == 0


@given(arch=archs, data=st.data())
@settings(QUICK, max_examples=60)
def test_any_mix_answers_as_the_reference(arch: Arch, data: st.DataObject) -> None:
    """In float64, where no rounding sends a token to another expert."""
    limits = replace(LIMITS, max_running=data.draw(st.integers(1, 4)), max_step_tokens=data.draw(st.integers(3, 90)), mixed_step_tokens=3)
    engine = core(arch, pages=data.draw(st.integers(10, 24)), limits=limits, dtype=torch.float64)
    seqs, logprobs = run(engine, traffic(data.draw(st.integers(0, 10_000))))
    oracle = Oracle(arch, torch.float64)
    for seq in seqs:
        agree(oracle, seq, logprobs[seq])


def run(engine: Core, requests: list[tuple[int, tuple[int, ...], int, int]]) -> tuple[list[Sequence], dict[Sequence, list[float]]]:
    seqs = [sequence(engine, prompt, greedy(count, logprobs=0), priority) for _, prompt, count, priority in requests]
    logprobs: dict[Sequence, list[float]] = {seq: [] for seq in seqs}
    for step in range(3000):
        for (when, *_), seq in zip(requests, seqs, strict=True):
            if when == step:
                engine.add(seq)
        with torch.inference_mode():
            out = engine.step()
        engine.memory.check()
        for seq, delta in out:
            logprobs[seq] += [lp.logprob for lp in delta.logprobs]
        if step > 12 and engine.idle:
            return seqs, logprobs
    raise AssertionError("the engine makes no progress")


def test_preemption_recomputes() -> None:
    """Five answers that together need far more pages than there are."""
    engine, oracle = core(PLAIN, pages=11), Oracle(PLAIN)
    prompts = [tuple(random.Random(i).choices(range(96), k=40)) for i in range(5)]
    seqs = [sequence(engine, prompt, greedy(60)) for prompt in prompts]
    for seq in seqs:
        engine.add(seq)
    drain(engine)
    assert engine.stats().preemptions > 0
    for seq, prompt in zip(seqs, prompts, strict=True):
        assert answer(seq) == oracle.greedy(prompt, 60)


def test_prefix_hit_counts_and_agrees() -> None:
    engine, oracle = core(WINDOWED), Oracle(WINDOWED)
    prompt = tuple(random.Random(3).choices(range(96), k=70))
    first, second = sequence(engine, prompt, greedy(5)), sequence(engine, prompt, greedy(5))
    engine.add(first)
    drain(engine)
    engine.add(second)
    drain(engine)
    assert first.usage.cached == 0
    assert second.usage.cached == 64
    assert answer(first) == answer(second) == oracle.greedy(prompt, 5)
    assert engine.stats().cached_tokens == 64


def test_an_answer_continues_from_cache() -> None:
    """The next turn of a conversation finds prompt and answer of the one before."""
    engine = core(PLAIN)
    seq = sequence(engine, range(40), greedy(30))
    engine.add(seq)
    drain(engine)
    turn = sequence(engine, [*seq.tokens[: seq.length].tolist(), 1, 2, 3], greedy(3))
    engine.add(turn)
    drain(engine)
    assert turn.usage.cached == 64


def test_shared_prompt_is_computed_once() -> None:
    """n = 4: those that arrive together wait for the one that computes their pages."""
    engine = core(PLAIN, limits=replace(LIMITS, max_step_tokens=32, mixed_step_tokens=32))
    prompt = tuple(random.Random(5).choices(range(96), k=100))
    seqs = [sequence(engine, prompt, greedy(2)) for _ in range(4)]
    for seq in seqs:
        engine.add(seq)
    drain(engine)
    assert sorted(seq.usage.cached for seq in seqs) == [0, 96, 96, 96]


def test_window_pages_are_freed() -> None:
    engine = core(ARCHS["sliding"], pages=64)
    seq = sequence(engine, range(90), greedy(40))
    engine.add(seq)
    most = 0
    while not engine.idle:
        with torch.inference_mode():
            engine.step()
        if seq.generated:
            most = max(most, engine.stats().pages_used)
    assert 0 < most <= 33 // 16 + 3
    assert answer(seq) == Oracle(ARCHS["sliding"]).greedy(tuple(range(90)), 40)


def test_priority_then_arrival() -> None:
    engine = core(PLAIN, limits=replace(LIMITS, max_running=1))
    seqs = [sequence(engine, [1, 2, 3, i], greedy(2), priority) for i, priority in enumerate([1, 1, 0, 2, 0])]
    for seq in seqs:
        engine.add(seq)
    finished: list[int] = []
    while not engine.idle:
        with torch.inference_mode():
            finished += [seqs.index(seq) for seq, delta in engine.step() if delta.finish]
    assert finished == [2, 4, 0, 1, 3]


def test_long_prompt_does_not_stall_running_answers() -> None:
    engine = core(PLAIN, limits=replace(LIMITS, max_step_tokens=64, mixed_step_tokens=8))
    running, late = sequence(engine, [1, 2, 3], greedy(40)), sequence(engine, range(90), greedy(1))
    engine.add(running)
    with torch.inference_mode():
        engine.step()
        engine.add(late)
        steps = 0
        while late.finish is None:
            assert running in [seq for seq, _ in engine.step()]
            steps += 1
    assert steps == 12  # 90 tokens, 8 at a time


def test_many_prompts_weigh_more_than_one_answer() -> None:
    """Seven that wait for their first token slow down the one that has it, seven times as much as one would."""
    engine = core(PLAIN, limits=replace(LIMITS, max_step_tokens=64, mixed_step_tokens=8))
    seqs = [sequence(engine, range(i, i + (3 if i == 0 else 50)), greedy(40)) for i in range(8)]
    engine.add(seqs[0])
    with torch.inference_mode():
        engine.step()
    for seq in seqs[1:]:
        engine.add(seq)
    step = engine.scheduler.schedule()
    assert step[0].sequence is seqs[0]
    assert sum(chunk.size for chunk in step) == 1 + 7 * 8


def test_abort_frees_everything() -> None:
    engine = core(PLAIN, limits=replace(LIMITS, max_running=2, max_step_tokens=16))
    seqs = [sequence(engine, range(i, i + 60), greedy(30)) for i in range(4)]
    for seq in seqs:
        engine.add(seq)
    with torch.inference_mode():
        for _ in range(3):
            engine.step()
    for seq in seqs:  # in the middle of a prompt, and while waiting
        engine.abort(seq)
        engine.memory.check()
    stats = engine.stats()
    assert (stats.running, stats.waiting, stats.pages_used, stats.aborts) == (0, 0, 0, 4)
    assert stats.pages_free + stats.pages_cached == stats.pages_total


def test_stop_token_ends() -> None:
    engine, oracle = core(PLAIN), Oracle(PLAIN)
    expected = oracle.greedy((1, 2, 3), 12)
    stop = expected[7]
    seq = sequence(engine, [1, 2, 3], greedy(50, stop_tokens=frozenset({stop})))
    engine.add(seq)
    drain(engine)
    assert seq.finish == "stop"
    assert answer(seq) == expected[: expected.index(stop) + 1]
