"""Texts that are denoised: the engine finds the tokens that a loop of a few lines finds, which computes everything anew in every step."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.api import DenoiserInfo, Denoising, EngineError, JsonObject, Request, Sampling, Unsupported
from engine.embedded.denoise.block import shares
from engine.embedded.denoise.core import DenoisingCore
from engine.embedded.denoise.runner import DenoisingRunner
from engine.embedded.denoise.scheme import scheme_of
from engine.embedded.load import LoadedModel
from engine.embedded.memory.memory import Memory, owner_salt
from engine.embedded.on_torch.backend import TorchBackend
from engine.embedded.on_torch.pages import Storage
from engine.embedded.sampling.sampler import TokenSampler
from engine.embedded.sequence import Sequence as Seq
from engine.embedded.step.inputs import Inputs, largest_step
from models.spec import MLP, Arch, Attention, BlockCausal, Denoised, Full, Layer, Mask, Rope
from models.spec.check import check
from tests.engine.tiny import CONTEXT, CPU, LIMITS, PLAIN, Oracle, answer, collect, filled, loaded, running, sizes

VOCAB, MASK = 64, 63


def arch(mask: Mask, *, shifted: bool = False) -> Arch:
    mixer = Attention(heads=4, kv_heads=2, head_dim=8, mask=mask, position=Rope(dim=8))
    layers = (Layer(mixer=mixer, ffn=MLP(hidden=40)),) * 2
    return Arch(dim=32, vocab=VOCAB, layers=layers, output=Denoised(mask=MASK, shifted=shifted), context=CONTEXT)


ARCHS = {
    "whole": arch(Full()),
    "shifted": arch(Full(), shifted=True),
    "blocks of 4": arch(BlockCausal(size=4)),
    "blocks of 24": arch(BlockCausal(size=24)),
}
HOW = [
    Denoising(),
    Denoising(steps=3, canvas=20),
    Denoising(threshold=0.2, canvas=64),
    Denoising(order="entropy", steps=2),
    Denoising(order="margin", canvas=7),
]


@pytest.fixture(scope="module")
def oracles() -> dict[str, Oracle]:
    return {name: Oracle(arch) for name, arch in ARCHS.items()}


def naive(oracle: Oracle, arch: Arch, prompt: Sequence[int], count: int, how: Denoising) -> list[int]:
    """The `count` tokens behind `prompt`, greedy."""
    scheme = scheme_of(arch)
    assert scheme is not None
    size = scheme.block or how.block or 32
    tokens = torch.tensor([*prompt, *[MASK] * (count + size)])
    begin, last = len(prompt), len(prompt) + count
    while begin < last:
        end = (begin // size + 1) * size if scheme.block else min(begin + size, last)
        seen = end if scheme.block else min(last, len(prompt) + -(-(end - len(prompt)) // how.canvas) * how.canvas)
        steps = max(1, min(how.steps or end - begin, end - begin))
        for step in range(end - begin):
            masked = [i for i in range(begin, end) if tokens[i] == MASK]
            if not masked:
                break
            logits_TY = oracle.logits(tokens[:seen].tolist()).clone()
            logits_TY[:, MASK] = -torch.inf
            p_NY = torch.stack([logits_TY[i - scheme.shifted] for i in masked]).softmax(-1)
            best = p_NY.max(-1)
            first, second = p_NY.topk(2).values.T
            ranks = {"confidence": best.values, "entropy": (p_NY * (p_NY + 1e-10).log()).sum(-1), "margin": first - second}[how.order]
            number = (end - begin) // steps + (step < (end - begin) % steps)
            number = number if how.threshold is None else max(1, int((best.values >= how.threshold).sum()))
            for i in ranks.argsort(descending=True)[:number].tolist():
                tokens[masked[i]] = best.indices[i]
        begin = end
    return tokens[len(prompt) : last].tolist()


def core(arch: Arch, pages: int = 64, max_step_tokens: int = 64) -> DenoisingCore:
    limits, counts, scheme = replace(LIMITS, max_step_tokens=max_step_tokens, max_running=6), sizes(arch, pages), scheme_of(arch)
    assert scheme is not None
    model = filled(arch, TorchBackend(Storage(pages=counts, device=CPU, dtype=torch.float32, fill_nan=True)))
    most = largest_step(limits, CONTEXT)
    inputs = Inputs(most._replace(tokens=max(most.tokens, 4 * CONTEXT)), tuple(counts), CPU, context=CONTEXT)
    return DenoisingCore(DenoisingRunner(model, inputs, CPU), Memory(counts, seed=b"test"), limits, scheme)


def sequence(core: DenoisingCore, prompt: Sequence[int], sampling: Sampling, arrival: int = 0, owner: str = "") -> Seq:
    block, limit = core._scheme.block, min(CONTEXT // 24 * 24, len(prompt) + sampling.max_tokens)
    request = Request(tokens=tuple(prompt), sampling=sampling, owner=owner)
    sampler = TokenSampler(sampling, sampling.seed or 0, request.tokens)
    tables = core.memory.tables(limit + (block or 0))
    return Seq(request, arrival, limit, tables, sampler, salt=owner_salt(owner), block=block)


def drain(core: DenoisingCore) -> None:
    for _ in range(5000):
        if core.idle:
            return
        with torch.inference_mode():
            core.step()
        core.memory.check()
    raise AssertionError("the engine makes no progress")


def some(rnd: random.Random, count: int) -> list[int]:
    return rnd.choices(range(MASK), k=count)


def test_they_can_be_built() -> None:
    for one in ARCHS.values():
        check(one)


@pytest.mark.parametrize("name", ARCHS)
@pytest.mark.parametrize("how", HOW, ids=str)
def test_alone(name: str, how: Denoising, oracles: dict[str, Oracle]) -> None:
    prompt = some(random.Random(3), 21)
    engine = core(ARCHS[name])
    seq = sequence(engine, prompt, Sampling(max_tokens=30, temperature=0, denoising=how))
    engine.add(seq)
    drain(engine)
    assert answer(seq) == naive(oracles[name], ARCHS[name], prompt, 30, how)
    assert seq.finish == "length" and seq.usage.completion == 30


@pytest.mark.parametrize("name", ARCHS)
@given(data=st.data())
@settings(max_examples=12, deadline=None, database=None)
def test_in_company(name: str, data: Any, oracles: dict[str, Oracle]) -> None:
    """With beginnings in common, little memory, small steps and aborts."""
    rnd = random.Random(data.draw(st.integers(0, 10_000)))
    engine = core(ARCHS[name], pages=rnd.choice([9, 14, 64]), max_step_tokens=rnd.choice([16, 48]))
    stem, seqs = some(rnd, 32), list[Seq]()
    for i in range(5):
        prompt = rnd.choice([stem, stem[:17], []]) + some(rnd, rnd.randint(1, 12))
        sampling = Sampling(max_tokens=rnd.randint(1, 30), temperature=0, denoising=rnd.choice(HOW))
        seqs.append(sequence(engine, prompt, sampling, i, rnd.choice(["", "a"])))
    gone = rnd.choice(seqs)
    for i, seq in enumerate(seqs):
        engine.add(seq)
        with torch.inference_mode():
            engine.step()
        if i == 3 and gone in (*engine.running, *engine.waiting):
            engine.abort(gone)
        engine.memory.check()
    drain(engine)
    for seq in seqs:
        if seq.finish is not None:
            how = seq.request.sampling.denoising or Denoising()
            expected = naive(oracles[name], ARCHS[name], seq.request.tokens, seq.limit - seq.prompt, how)
            assert answer(seq) == expected
    stats = engine.stats()
    assert (stats.running, stats.waiting, stats.pages_used) == (0, 0, 0)


def test_what_was_computed_for_somebody_else_is_found() -> None:
    """Whole pages, where blocks end with them; where a block goes on behind a page, what lies in it hangs on tokens that others lack."""
    prompt = some(random.Random(5), 40)
    for name, found in (("blocks of 4", 32), ("blocks of 24", 0)):
        engine = core(ARCHS[name])
        seqs = [sequence(engine, prompt, Sampling(max_tokens=5, temperature=0), i) for i in range(2)]
        for seq in seqs:
            engine.add(seq)
            drain(engine)
        assert [seq.usage.cached for seq in seqs] == [0, found]


def test_a_seed_gives_the_same_tokens_in_any_company() -> None:
    rnd = random.Random(9)
    prompt, sampling = some(rnd, 9), Sampling(max_tokens=20, temperature=0.8, top_p=0.9, seed=7, denoising=Denoising(steps=6))
    for name in ("whole", "blocks of 4"):
        found = list[list[int]]()
        for others in (0, 3):
            engine = core(ARCHS[name])
            for i in range(others):
                engine.add(sequence(engine, some(rnd, 30), Sampling(max_tokens=25, seed=i), i))
            seq = sequence(engine, prompt, sampling, 9)
            engine.add(seq)
            drain(engine)
            found.append(answer(seq))
        assert found[0] == found[1]
        again = sequence(engine, prompt, replace(sampling, seed=8), 10)
        engine.add(again)
        drain(engine)
        assert answer(again) != found[0]


def test_a_stop_token_ends_it_where_it_stands(oracles: dict[str, Oracle]) -> None:
    prompt = some(random.Random(3), 21)
    for name in ("whole", "blocks of 4"):
        expected = naive(oracles[name], ARCHS[name], prompt, 30, Denoising())
        stop = expected[13]
        engine = core(ARCHS[name])
        seq = sequence(engine, prompt, Sampling(max_tokens=30, temperature=0, stop_tokens=frozenset({stop}), logprobs=1))
        engine.add(seq)
        deltas = list[Any]()
        while not engine.idle:
            with torch.inference_mode():
                deltas += [delta for _, delta in engine.step()]
        end = expected.index(stop) + 1
        tokens = [token for delta in deltas for token in delta.tokens]
        assert tokens == expected[:end] and seq.finish == "stop" == deltas[-1].finish
        assert [logprob.token for delta in deltas for logprob in delta.logprobs] == tokens
        assert deltas[-1].usage.completion == end


def test_shares() -> None:
    assert shares(10, 4) == [3, 3, 2, 2] and shares(3, 9) == [1, 1, 1] and shares(0, 5) == [0]


def denoising_model(arch: Arch) -> LoadedModel:
    scheme = scheme_of(arch)
    assert scheme is not None
    made = loaded(arch)
    context = CONTEXT // (scheme.block or 1) * (scheme.block or 1)
    return replace(made, scheme=scheme, info=replace(made.info, context=context, denoiser=DenoiserInfo(block=scheme.block)))


@pytest.mark.parametrize("name", ARCHS)
def test_the_engine(name: str, oracles: dict[str, Oracle]) -> None:
    prompt = tuple(some(random.Random(4), 13))

    async def run() -> None:
        async with running(denoising_model(ARCHS[name])) as engine:
            assert engine.has_finite_logits()
            request = Request(tokens=prompt, sampling=Sampling(max_tokens=25, temperature=0))
            found = await asyncio.gather(*(collect(engine, request) for _ in range(3)))
            assert {delta.tokens for delta in found} == {tuple(naive(oracles[name], ARCHS[name], prompt, 25, Denoising()))}
            for wrong, reason in (
                (replace(request, grammar=JsonObject()), "a grammar: "),
                (replace(request, sampling=Sampling(max_tokens=5, frequency_penalty=0.5)), "frequency_penalty: "),
                (replace(request, sampling=Sampling(max_tokens=5, denoising=Denoising(steps=0))), "steps = 0 must be positive"),
                (replace(request, sampling=Sampling(max_tokens=5, denoising=Denoising(threshold=2))), "threshold = 2"),
            ):
                with pytest.raises(EngineError, match=reason):
                    await collect(engine, wrong)
            if name == "blocks of 4":
                with pytest.raises(EngineError, match="this model's blocks have 4 tokens"):
                    await collect(engine, replace(request, sampling=Sampling(max_tokens=5, denoising=Denoising(block=8))))
        async with running(loaded(PLAIN)) as engine:
            with pytest.raises(Unsupported, match="this model continues texts"):
                await collect(engine, replace(request, sampling=Sampling(max_tokens=5, denoising=Denoising())))

    asyncio.run(run())
