"""Encoder-decoders on the engine: what they answer is what the reference answers, in chunks, after preemption, with inputs and prompts
that are remembered, and in company."""

import asyncio
import random
from collections.abc import Sequence as Several
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from engine.api import EngineError, Frames, PromptTooLong, Request, Unsupported
from engine.embedded.core import Core
from engine.embedded.load import LoadedModel, LoadOptions, load_model
from engine.embedded.memory.memory import Memory
from engine.embedded.sequence import Sequence
from engine.embedded.step.inputs import Inputs, largest_step
from engine.embedded.step.runner import Runner
from models.batch import Batch
from models.families import ENCODER_DECODERS
from models.spec import (
    MLP,
    Arch,
    Attention,
    Causal,
    CrossAttention,
    Full,
    Layer,
    Norm,
    OwnEmbedding,
    RelativeBias,
    Rope,
    Sinusoidal,
    Tower,
    Window,
)
from models.spec.check import check
from tests.engine.test_core import QUICK
from tests.engine.tiny import CONTEXT, CPU, LIMITS, PLAIN, Oracle, answer, collect, core, drain, greedy, loaded, running, sequence
from tests.models.encoder_decoder_world import make, some_inputs, their_logits, their_looks
from tests.models.test_encoder_decoders import tiny

CROSS = CrossAttention(heads=4, kv_heads=2, head_dim=8)
OTHER = CrossAttention(heads=2, kv_heads=2, head_dim=10, bias=True, out_bias=True, scale=0.5)
FFN = MLP(hidden=40)
TOWER = Tower(
    dim=32,
    layers=(
        Layer(mixer=Attention(heads=4, kv_heads=2, head_dim=8, mask=Full(), position=RelativeBias(buckets=8, max_distance=20)), ffn=FFN),
    )
    * 2,
    context=CONTEXT,
)
ALIKE = Arch(
    dim=32,
    vocab=96,
    layers=(
        Layer(mixer=Attention(heads=4, kv_heads=2, head_dim=8, position=RelativeBias(buckets=8, max_distance=20)), ffn=FFN, cross=CROSS),
    )
    * 2,
    tied=True,
    encoder=TOWER,
    context=CONTEXT,
)
MIXED = Arch(
    dim=32,
    vocab=96,
    layers=(
        Layer(mixer=Attention(heads=4, kv_heads=1, head_dim=8, mask=Window(size=20), position=Rope(dim=8)), ffn=FFN, cross=CROSS),
        Layer(mixer=Attention(heads=4, kv_heads=2, head_dim=8, mask=Causal()), ffn=FFN),
        Layer(mixer=Attention(heads=4, kv_heads=2, head_dim=8), ffn=FFN, cross=OTHER, placement="post", norm=Norm(kind="layer")),
    ),
    position=Sinusoidal(),
    encoder=replace(TOWER, dim=24, input=OwnEmbedding(vocab=96), position=Sinusoidal(order="halves"), embed_norm=Norm()),
    context=CONTEXT,
)
ARCHS = {"alike": ALIKE, "mixed": MIXED}

Asked = tuple[int, tuple[int, ...], tuple[int, ...], int, int]


@pytest.fixture(scope="module")
def oracles() -> dict[str, Oracle]:
    return {name: Oracle(arch) for name, arch in ARCHS.items()}


def test_they_can_be_built() -> None:
    for arch in ARCHS.values():
        check(arch)


def some(rnd: random.Random, count: int) -> tuple[int, ...]:
    return tuple(rnd.choices(range(96), k=count))


def traffic(seed: int) -> list[Asked]:
    """(step at which it arrives, input, prompt, tokens wanted, priority); some have an input in common, some a beginning."""
    rnd = random.Random(seed)
    inputs = [some(rnd, rnd.choice([1, 15, 16, 17, 40, 90])) for _ in range(3)]
    stems = [some(rnd, rnd.choice([0, 1, 16, 33])) for _ in range(2)]
    return [
        (
            rnd.randrange(8),
            rnd.choice(inputs),
            rnd.choice(stems) + some(rnd, rnd.choice([1, 1, 20])),
            rnd.randint(1, 18),
            rnd.choice([0, 0, 1]),
        )
        for _ in range(rnd.randint(1, 7))
    ]


def run(engine: Core, asked: Several[Asked]) -> list[Sequence]:
    seqs = [sequence(engine, prompt, greedy(count), priority, read) for _, read, prompt, count, priority in asked]
    for step in range(2000):
        for (when, *_), seq in zip(asked, seqs, strict=True):
            if when == step:
                engine.add(seq)
        with torch.inference_mode():
            engine.step()
        engine.memory.check()
        if step > 8 and engine.idle:
            return seqs
    raise AssertionError("the engine makes no progress")


def agree(oracle: Oracle, seq: Sequence) -> None:
    assert isinstance(seq.request.encoder, tuple)
    logits_TY = oracle.logits(seq.tokens[: seq.length - 1].tolist(), seq.request.encoder)[seq.prompt - 1 :]
    chosen_T = logits_TY.gather(1, torch.from_numpy(seq.tokens[seq.prompt : seq.length])[:, None])[:, 0]
    assert (chosen_T > logits_TY.amax(-1) - 1e-4).all()


@pytest.mark.parametrize("name", ARCHS)
@given(data=st.data())
@settings(QUICK, max_examples=40)
def test_same_tokens_as_the_reference(oracles: dict[str, Oracle], name: str, data: st.DataObject) -> None:
    steps, mixed = data.draw(st.integers(3, 90)), data.draw(st.integers(3, 40))
    limits = replace(LIMITS, max_running=data.draw(st.integers(1, 6)), max_step_tokens=steps, mixed_step_tokens=mixed)
    engine = core(ARCHS[name], pages=data.draw(st.integers(8, 20)), limits=limits)
    for seq in run(engine, traffic(data.draw(st.integers(0, 10_000)))):
        assert seq.finish == "length"
        agree(oracles[name], seq)
    assert engine.stats().pages_used == 0


def test_preemption_reads_again_or_finds_what_was_read(oracles: dict[str, Oracle]) -> None:
    rnd = random.Random(1)
    engine = core(ALIKE, pages=12)
    seqs = run(engine, [(0, some(rnd, 30), some(rnd, 2), 60, 0) for _ in range(5)])
    assert engine.stats().preemptions > 0
    for seq in seqs:
        agree(oracles["alike"], seq)


class Counted:
    """How many inputs the encoder has read, and how many of them at once."""

    def __init__(self, engine: Core, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[list[int]] = []
        encoder: Any = engine._runner._model.encoder  # type: ignore[attr-defined]
        forward = encoder.forward

        def counted(read: Tensor, batch: Batch, shared: Any) -> Tensor:
            self.steps.append(batch.starts_S1.diff().tolist())
            return forward(read, batch, shared)

        monkeypatch.setattr(encoder, "forward", counted)


def test_an_input_in_common_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By those who ask together, and by who comes later; of another owner's nothing is known."""
    engine, rnd = core(ALIKE), random.Random(2)
    counted, read = Counted(engine, monkeypatch), some(rnd, 40)
    seqs = [sequence(engine, [0], greedy(3), read=read) for _ in range(3)]
    for seq in seqs:
        engine.add(seq)
    drain(engine)
    assert counted.steps == [[40]]
    assert [seq.usage.cached for seq in seqs] == [0, 40, 40]
    later, theirs = (sequence(engine, [0], greedy(3), read=read, owner=owner) for owner in ("", "somebody else"))
    for seq in (later, theirs):
        engine.add(seq)
        drain(engine)
    assert counted.steps == [[40], [40]]
    assert (later.usage.cached, theirs.usage.cached) == (40, 0)
    assert answer(later) == answer(theirs) == answer(seqs[0])
    assert later.usage.prompt == 41


def test_a_beginning_belongs_to_its_input(oracles: dict[str, Oracle]) -> None:
    """The same prompt behind another input is computed; behind the same it is found."""
    engine, rnd = core(ALIKE), random.Random(3)
    prompt, one, other = some(rnd, 40), some(rnd, 20), some(rnd, 20)
    seqs = [sequence(engine, prompt, greedy(4), read=read) for read in (one, other, one)]
    for seq in seqs:
        engine.add(seq)
        drain(engine)
    assert [seq.cached for seq in seqs] == [0, 0, 32]
    for seq in seqs:
        agree(oracles["alike"], seq)


def test_long_inputs_come_one_by_one_beside_running_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = core(ALIKE, limits=replace(LIMITS, max_step_tokens=64, mixed_step_tokens=8))
    counted, rnd = Counted(engine, monkeypatch), random.Random(4)
    first = sequence(engine, [0], greedy(40), read=some(rnd, 5))
    engine.add(first)
    with torch.inference_mode():
        engine.step()
    late = [sequence(engine, [0], greedy(2), read=some(rnd, n)) for n in (90, 30, 3, 4)]
    for seq in late:
        engine.add(seq)
    with torch.inference_mode():
        while any(seq.finish is None for seq in late):
            assert first in [seq for seq, _ in engine.step()]
    assert counted.steps == [[5], [90], [30], [3, 4]]


def test_abort_frees_everything() -> None:
    engine, rnd = core(ALIKE, limits=replace(LIMITS, max_running=2, max_step_tokens=16)), random.Random(5)
    seqs = [sequence(engine, some(rnd, 40), greedy(30), read=some(rnd, 50)) for _ in range(4)]
    for seq in seqs:
        engine.add(seq)
    with torch.inference_mode():
        engine.step()
    assert seqs[0].encoded and 0 < seqs[0].computed < 40
    for seq in seqs:
        engine.abort(seq)
        engine.memory.check()
    stats = engine.stats()
    assert (stats.running, stats.waiting, stats.pages_used, stats.aborts) == (0, 0, 0, 4)
    assert stats.pages_free + stats.pages_cached == stats.pages_total


def test_an_input_waits_for_pages(oracles: dict[str, Oracle]) -> None:
    """Two that fit one after the other only."""
    engine, rnd = core(ALIKE, pages=4), random.Random(6)
    for seq in run(engine, [(0, some(rnd, 50), some(rnd, 3), 5, 0) for _ in range(2)]):
        agree(oracles["alike"], seq)


def test_what_is_refused() -> None:
    async def run() -> None:
        async with running(loaded(ALIKE, pages=8)) as engine:
            assert engine.info.reader is not None and engine.info.reader.context == 8 * 16
            good = Request(tokens=(0,), sampling=greedy(4), encoder=(1, 2, 3))
            assert len((await collect(engine, good)).tokens) == 4
            assert engine.has_finite_logits()
            with pytest.raises(EngineError, match="the input has no tokens"):
                await collect(engine, replace(good, encoder=()))
            with pytest.raises(EngineError, match="token 96 is not in the vocabulary"):
                await collect(engine, replace(good, encoder=(1, 96)))
            with pytest.raises(PromptTooLong, match="the input has 129 tokens; 128 fit"):
                await collect(engine, replace(good, encoder=(1,) * 129))
            stats = engine.stats()
            assert stats.pages_used == 0 and stats.pages_free + stats.pages_cached == stats.pages_total
        async with running(loaded(PLAIN)) as engine:
            with pytest.raises(Unsupported, match="reads no input"):
                await collect(engine, good)

    asyncio.run(run())


def core_of(model: LoadedModel, pages: int = 12) -> Core:
    assert model.info.reader is not None
    inputs = Inputs(largest_step(LIMITED, model.info.context, model.info.reader.context), tuple(model.pages), CPU)
    return Core(Runner(model.model, inputs, model.recorder), Memory(dict.fromkeys(model.pages, pages), seed=b""), LIMITED)


LIMITED = replace(LIMITS, max_running=4, max_step_tokens=24, mixed_step_tokens=9)


@pytest.mark.parametrize("family", sorted({module.rpartition(".")[2] for module in ENCODER_DECODERS.values()}))
def test_answers_as_transformers_would(family: str, tmp_path: Path) -> None:
    theirs = make(tiny(family))
    theirs.save_pretrained(tmp_path)
    options = LoadOptions(kv_memory=1 << 20, dtype=torch.float32, limits=LIMITED, threads=1)
    model = load_model(tmp_path, options)
    assert model.info.reader is not None and model.info.reader.start == theirs.config.decoder_start_token_id
    engine = core_of(model)
    rnd = random.Random(7)
    read = [as_asked(inputs) for inputs in some_inputs(tiny(family), [40, 1, 17, 40])]
    seqs = [sequence(engine, [2, *rnd.choices(range(3, 250), k=n)], greedy(14), read=read[i]) for i, n in enumerate((0, 5, 30, 1))]
    seqs.append(sequence(engine, [2], greedy(14), read=read[0]))
    with torch.inference_mode():
        for seq in seqs:
            engine.add(seq)
            engine.step()
    drain(engine)
    for seq in seqs:
        asked = seq.request.encoder
        inputs = torch.from_numpy(asked.rows) if isinstance(asked, Frames) else torch.tensor(asked)
        rows_QY = their_logits(theirs, [inputs], [torch.from_numpy(seq.tokens[: seq.length - 1])])[seq.prompt - 1 :]
        chosen_Q = rows_QY.gather(1, torch.from_numpy(seq.tokens[seq.prompt : seq.length])[:, None])[:, 0]
        assert (chosen_Q > rows_QY.amax(-1) - 1e-3).all()
    assert seqs[-1].usage.cached == seqs[-1].inputs


@pytest.mark.parametrize("family", ["t5", "whisper"])
def test_where_a_prompt_looks(family: str, tmp_path: Path) -> None:
    """As transformers' own attention says, in small steps beside an answer, and both at once."""
    theirs = make(tiny(family))
    theirs.save_pretrained(tmp_path)
    options = LoadOptions(kv_memory=1 << 20, dtype=torch.float32, limits=LIMITED, threads=1)
    inputs, heads = some_inputs(tiny(family), [40, 33]), [(1, 3), (0, 2), (1, 0), (2, 1)]
    asked = [Request(tokens=(2, *range(30, 68)), sampling=greedy(9), encoder=as_encoded(read)) for read in inputs]

    async def run() -> list[NDArray[np.float32]]:
        async with running(load_model(tmp_path, options)) as engine:
            busy = asyncio.create_task(collect(engine, asked[0]))
            found = await asyncio.gather(*(engine.align(request, heads) for request in asked))
            await busy
            for wrong in ([], [(3, 0)], [(0, 4)]):
                with pytest.raises(EngineError, match="align: "):
                    await engine.align(asked[0], wrong)
            return found

    for read, request, found in zip(inputs, asked, asyncio.run(run()), strict=True):
        looks = their_looks(theirs, read, torch.tensor(request.tokens))
        expected_NTM = torch.stack([looks[layer][head] for layer, head in heads])
        torch.testing.assert_close(torch.from_numpy(found), expected_NTM, rtol=1e-4, atol=1e-5)


def as_encoded(read: Tensor) -> tuple[int, ...] | Frames:
    found = as_asked(read)
    return found if isinstance(found, Frames) else tuple(found)


def as_asked(read: Tensor) -> list[int] | Frames:
    """As a request has it."""
    return Frames(read.numpy()) if read.dim() == 2 else read.tolist()
