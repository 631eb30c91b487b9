"""Logprobs of prompts, against a model without any memory; prompts without an answer."""

import asyncio
import random
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.api import Delta, Request, Sampling, TokenLogprob
from engine.embedded.core import Core
from engine.embedded.sampling.sampler import most_likely
from engine.embedded.sequence import Sequence
from tests.engine.test_core import Recorded
from tests.engine.tiny import ARCHS, CONTEXT, LIMITS, PLAIN, Oracle, collect, core, drain, greedy, loaded, running, sequence


def agree(oracle: Oracle, prompt: tuple[int, ...], found: tuple[TokenLogprob, ...], top: int) -> None:
    """One per token but the first."""
    assert [one.token for one in found] == list(prompt[1:])
    logprobs_TY = oracle.logits(prompt).log_softmax(-1)
    for one, row_Y in zip(found, logprobs_TY, strict=False):
        assert one.logprob == pytest.approx(float(row_Y[one.token]), abs=1e-4)
        best = most_likely(row_Y.numpy(), top).tolist()
        assert [logprob for _, logprob in one.top] == pytest.approx([float(row_Y[token]) for token in best], abs=1e-4)


def prompts(seed: int) -> list[tuple[int, ...]]:
    """Of one beginning."""
    rnd = random.Random(seed)
    stem = tuple(rnd.choices(range(96), k=rnd.choice([0, 16, 40])))
    return [stem + tuple(rnd.choices(range(96), k=rnd.randint(1, 40))) for _ in range(4)]


@pytest.mark.parametrize("name", ARCHS)
@given(data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
def test_as_without_memory(name: str, data: st.DataObject) -> None:
    """In any chunks, with prefixes cached by others, after preemption, alone and in company."""
    limits = replace(LIMITS, max_step_tokens=data.draw(st.integers(3, 90)), mixed_step_tokens=data.draw(st.integers(3, 40)))
    engine = core(
        ARCHS[name], pages=data.draw(st.integers(10, 24)), limits=limits, recorder=Recorded() if data.draw(st.booleans()) else None
    )
    oracle, texts = Oracle(ARCHS[name]), prompts(data.draw(st.integers(0, 10_000)))
    wanted = [data.draw(st.sampled_from([None, 0, 3])) for _ in texts]
    counts = [data.draw(st.sampled_from([0, 1, 12])) for _ in texts]
    seqs = [sequence(engine, text, greedy(count, prompt_logprobs=top)) for text, top, count in zip(texts, wanted, counts, strict=True)]
    found = run(engine, seqs[:1]) | run(engine, seqs[1:])
    for seq, text, top, count in zip(seqs, texts, wanted, counts, strict=True):
        assert seq.tokens[seq.prompt : seq.length].tolist() == oracle.greedy(text, count)
        if top is None:
            assert found[seq] == ()
        else:
            agree(oracle, text, found[seq], top)
    assert engine.stats().pages_used == 0
    assert engine.stats().prompt_tokens == sum(map(len, texts))


def run(engine: Core, seqs: list[Sequence]) -> dict[Sequence, tuple[TokenLogprob, ...]]:
    """The prompts' logprobs; each arrives with the first delta."""
    found: dict[Sequence, tuple[TokenLogprob, ...]] = {}
    for seq in seqs:
        engine.add(seq)
    for _ in range(3000):
        if engine.idle:
            return found
        with torch.inference_mode():
            for seq, delta in engine.step():
                assert seq not in found or delta.prompt_logprobs == ()
                found.setdefault(seq, delta.prompt_logprobs)
        engine.memory.check()
    raise AssertionError("the engine makes no progress")


def test_a_cached_prefix_is_computed_again() -> None:
    engine, prompt = core(PLAIN), tuple(range(60))
    for options in ({}, {"prompt_logprobs": 0}, {}):
        seq = sequence(engine, prompt, greedy(2, **options))
        engine.add(seq)
        drain(engine)
        assert seq.cached == (48 if engine.stats().cached_tokens else 0) * (options == {})
    assert len(seq.prompt_logprobs) == 0


def test_no_tokens_wanted() -> None:
    """The prompt is computed and stays in the cache; it may fill the context."""

    async def generate(tokens: tuple[int, ...], **options: int) -> Delta:
        async with running(loaded(PLAIN)) as engine:
            found = await collect(engine, Request(tokens=tokens, sampling=Sampling(max_tokens=0, **options)))  # type: ignore[arg-type]
            again = await collect(engine, Request(tokens=tokens, sampling=Sampling(max_tokens=0)))
            assert again.usage is not None
            assert again.usage.cached == (len(tokens) - 1) // 16 * 16
            return found

    tokens = tuple(i % 96 for i in range(CONTEXT))
    found = asyncio.run(generate(tokens))
    assert (found.tokens, found.finish) == ((), "length")
    assert found.usage is not None
    assert (found.usage.prompt, found.usage.completion) == (CONTEXT, 0)
    found = asyncio.run(generate((5,), prompt_logprobs=2))
    assert (found.tokens, found.finish) == ((), "length")
