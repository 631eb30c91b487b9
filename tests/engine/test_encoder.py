"""The embedded encoder: the same rows as transformers, the same bits in any company, and nobody waits for everybody."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.api import EngineError, EngineStopped, PromptTooLong, QueueFull, Sentence
from engine.embedded.encoder.engine import EmbeddedEncoder
from engine.embedded.encoder.load import EncoderLimits, EncoderOptions, LoadedEncoder, UnsupportedEncoder, load_encoder
from engine.embedded.encoder.native import supports_encoder
from engine.embedded.kernels.library import levels
from models.batch import Batch
from models.spec import MLP, Arch, Attention, Full, Layer, Pooled
from tests.models.encoder_world import make, run
from tests.models.test_encoders import BODIES, CLASSIFIERS
from tests.models.world import prompts

LIMITS = EncoderLimits(max_step_tokens=100, max_sentences=7)
EXACT = EncoderOptions(dtype="float32", threads=1, limits=LIMITS)
FAST = EncoderOptions(threads=2, limits=LIMITS)
FOLDERS = BODIES | {f"{name}-scores": values for name, values in CLASSIFIERS.items()}
SPARSE = ("longformer", "bigbird", "reformer")  # whose patterns no kernel knows
LENGTHS = [23, 1, 7, 40, 90, 2, 64, 64, 5]
needs_kernels = pytest.mark.skipif(not levels(), reason="the kernels need a compiler at installation and a processor with AVX2")


def sentences(lengths: Sequence[int] = LENGTHS) -> list[Sentence]:
    """Without the numbers of special tokens: RoBERTa counts positions around its padding."""
    return [Sentence(tokens=tuple(t.clamp(min=5).tolist())) for t in prompts(lengths)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A tiny checkpoint of that name; made once."""
    home = tmp_path_factory.mktemp("encoders")

    def made(name: str) -> Path:
        if not (home / name).exists():
            make(FOLDERS[name]).save_pretrained(home / name)
        return home / name

    return made


@asynccontextmanager
async def running(loaded: LoadedEncoder) -> AsyncIterator[EmbeddedEncoder]:
    encoder = EmbeddedEncoder(loaded)
    try:
        yield encoder
    finally:
        await encoder.close()
        assert encoder._waiting == 0


def rows(loaded: LoadedEncoder, batch: Sequence[Sentence]) -> Tensor:
    async def run() -> Tensor:
        async with running(loaded) as encoder:
            return torch.from_numpy(await encoder.embed(batch))

    return asyncio.run(run())


def theirs(name: str, batch: Sequence[Sentence]) -> Tensor:
    """Logits, or the mean of the rows: what sentence-transformers takes a bare encoder to mean."""
    model = make(FOLDERS[name])
    out = [run(model, torch.tensor(s.tokens), **({"token_type_ids": torch.tensor([s.segments])} if s.segments else {})) for s in batch]
    return torch.cat([one.logits if hasattr(one, "logits") else one.last_hidden_state.mean(1) for one in out])


@pytest.mark.parametrize("name", FOLDERS)
def test_float32_equals_transformers(folder: Callable[[str], Path], name: str) -> None:
    loaded = load_encoder(folder(name), EXACT)
    torch.testing.assert_close(rows(loaded, sentences()), theirs(name, sentences()), rtol=1e-4, atol=1e-4)


@needs_kernels
@pytest.mark.parametrize("dtype", ["int8", "bfloat16"])
@pytest.mark.parametrize("name", [name for name in FOLDERS if not name.startswith((*SPARSE, "deberta")) or "absolute" in name])
def test_kernels_are_close_to_it(folder: Callable[[str], Path], name: str, dtype: Any) -> None:
    loaded = load_encoder(folder(name), replace(FAST, dtype=dtype))
    assert loaded.recorder is not None
    got, want = rows(loaded, sentences()), theirs(name, sentences())
    if loaded.info.output == "score":
        assert (got - want).abs().max() < 0.03 * want.abs().max() + 0.02
    else:
        assert torch.cosine_similarity(got, want).min() > 0.999


@pytest.mark.parametrize("name", [*SPARSE, "deberta_v2", "deberta_v2-scores"])
def test_patterns_without_a_kernel(folder: Callable[[str], Path], name: str) -> None:
    """They run in torch, and are refused where kernels are asked for."""
    assert load_encoder(folder(name), FAST).recorder is None
    with pytest.raises(ValueError, match="compiled CPU kernels"):
        load_encoder(folder(name), replace(FAST, dtype="int8"))


@needs_kernels
def test_kernels_follow_their_options(folder: Callable[[str], Path]) -> None:
    """One recording serves all steps, and is what the model computes without it."""
    loaded = load_encoder(folder("modernbert"), FAST)
    assert torch.equal(rows(loaded, sentences()), rows(replace(loaded, recorder=None), sentences()))


def test_segments(folder: Callable[[str], Path]) -> None:
    pair = [Sentence(tokens=s.tokens, segments=tuple(i % 2 for i in range(len(s.tokens)))) for s in sentences()]
    mixed = [a if i % 3 else b for i, (a, b) in enumerate(zip(pair, sentences(), strict=True))]
    loaded = load_encoder(folder("bert"), EXACT)
    torch.testing.assert_close(rows(loaded, mixed), theirs("bert", mixed), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [pytest.param(FAST, marks=needs_kernels), EXACT], ids=["kernels", "torch"])
@pytest.mark.parametrize("name", ["bert", "modernbert"])
def test_company_changes_nothing(folder: Callable[[str], Path], name: str, options: EncoderOptions) -> None:
    """Not a bit, with the kernels; rounding, where torch chooses its own by the number of rows."""

    async def run() -> None:
        async with running(load_encoder(folder(name), options)) as encoder:
            batch = sentences()
            alone = np.concatenate([await encoder.embed([sentence]) for sentence in batch])
            calls = await asyncio.gather(*(encoder.embed(batch[i:]) for i in range(len(batch))))
            for i, together in enumerate(calls):
                np.testing.assert_allclose(together, alone[i:], atol=0 if options is FAST else 1e-5, rtol=0)

    asyncio.run(run())


def test_info(folder: Callable[[str], Path]) -> None:
    info = load_encoder(folder("bert"), EXACT).info
    assert (info.output, info.width, info.max_tokens, info.vocab, info.pooling) == ("vector", 64, 128, 256, "mean")
    scores = load_encoder(folder("bert-3-scores"), EXACT).info
    assert (scores.output, scores.width, scores.pooling, scores.architecture) == ("score", 3, "", "BertForSequenceClassification")


class Slow:
    """A model that takes a while, notes how large its steps were, and says of each sentence what its first token is."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds, self.steps = seconds, list[list[int]]()

    def __call__(self, tokens_T: Tensor, batch: Batch) -> Tensor:
        time.sleep(self.seconds)
        self.steps.append(batch.starts_S1.diff().tolist())
        return tokens_T[:, None].float()

    def output(self, x_TD: Tensor, batch: Batch) -> Tensor:
        return x_TD[batch.starts_S1[:-1].long()]


def slow(folder: Callable[[str], Path], model: Slow, **limits: int) -> LoadedEncoder:
    loaded = load_encoder(folder("bert"), EXACT)
    return replace(loaded, model=model, info=replace(loaded.info, width=1), limits=replace(LIMITS, **limits))


def test_steps_hold_what_fits(folder: Callable[[str], Path]) -> None:
    model = Slow(0)
    loaded = slow(folder, model)
    lengths = [60, 30, 11, 128, 1, 1, 1, 1, 1, 1, 1, 1]
    assert rows(loaded, sentences(lengths))[:, 0].tolist() == [s.tokens[0] for s in sentences(lengths)]
    assert model.steps == [[60, 30], [11], [128], [1] * 7, [1]]


def test_a_question_does_not_wait_for_all_passages(folder: Callable[[str], Path]) -> None:
    model = Slow()

    async def run() -> None:
        async with running(slow(folder, model)) as encoder:
            passages = asyncio.ensure_future(encoder.embed(sentences([90] * 50)))
            await asyncio.sleep(0.03)
            await encoder.embed(sentences([10]))
            assert not passages.done()
            assert len(await passages) == 50
            assert [90, 10] in model.steps or [10, 90] in model.steps

    asyncio.run(run())


def test_a_cancelled_call_takes_back_what_has_not_begun(folder: Callable[[str], Path]) -> None:
    model = Slow()

    async def run() -> None:
        async with running(slow(folder, model)) as encoder:
            passages = asyncio.ensure_future(encoder.embed(sentences([90] * 500)))
            await asyncio.sleep(0.05)
            passages.cancel()
            assert len(await encoder.embed(sentences([10]))) == 1

    asyncio.run(run())
    assert len(model.steps) < 50


def test_a_full_queue(folder: Callable[[str], Path]) -> None:
    async def run() -> None:
        async with running(slow(folder, Slow(), max_waiting=5)) as encoder:
            large = asyncio.ensure_future(encoder.embed(sentences([90] * 8)))  # nothing waits yet: it is taken
            await asyncio.sleep(0)
            with pytest.raises(QueueFull, match="8 texts"):
                await encoder.embed(sentences([3]))
            await large
            assert len(await encoder.embed(sentences([3] * 5))) == 5

    asyncio.run(run())


@pytest.mark.parametrize(
    ("sentence", "error", "words"),
    [
        (Sentence(tokens=()), EngineError, "no tokens"),
        (Sentence(tokens=(5,) * 129), PromptTooLong, "129 tokens; this model reads 128"),
        (Sentence(tokens=(5, 256)), EngineError, "token 256"),
        (Sentence(tokens=(5, -1)), EngineError, "token -1"),
        (Sentence(tokens=(5, 6), segments=(0,)), EngineError, "segments"),
        (Sentence(tokens=(5, 6), segments=(0, 2)), EngineError, "segments"),
    ],
)
def test_what_is_refused(folder: Callable[[str], Path], sentence: Sentence, error: type[Exception], words: str) -> None:
    async def run() -> None:
        async with running(load_encoder(folder("bert"), EXACT)) as encoder:
            with pytest.raises(error, match=words):
                await encoder.embed([*sentences([3]), sentence])
            assert (await encoder.embed([])).shape == (0, 64)

    asyncio.run(run())


def test_whoever_waits_when_it_closes_is_told(folder: Callable[[str], Path]) -> None:
    async def run() -> None:
        encoder = EmbeddedEncoder(slow(folder, Slow()))
        waiting = asyncio.ensure_future(encoder.embed(sentences([90] * 50)))
        await asyncio.sleep(0.03)
        await encoder.close()
        with pytest.raises(EngineStopped, match="shutting down"):
            await waiting
        with pytest.raises(EngineStopped):
            await encoder.embed(sentences([1]))
        assert not encoder.alive

    asyncio.run(run())


def test_a_failure_is_told_too(folder: Callable[[str], Path]) -> None:
    class Broken(Slow):
        def __call__(self, tokens_T: Tensor, batch: Batch) -> Tensor:
            raise RuntimeError("out of luck")

    async def run() -> None:
        encoder = EmbeddedEncoder(slow(folder, Broken()))
        with pytest.raises(EngineStopped, match="out of luck"):
            await encoder.embed(sentences([5]))
        assert not encoder.alive
        await encoder.close()

    asyncio.run(run())


def test_what_models_do_not_know(tmp_path: Path, folder: Callable[[str], Path]) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["MPNetModel"], "model_type": "mpnet"}')
    with pytest.raises(UnsupportedEncoder, match="MPNetModel"):
        load_encoder(tmp_path, EXACT)
    with pytest.raises(ValueError, match="device"):
        load_encoder(folder("bert"), replace(EXACT, device="tpu"))


def test_odd_sizes_are_left_to_torch(folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Attention(heads=2, kv_heads=2, head_dim=20, mask=Full())
    assert not supports_encoder(Arch(dim=64, vocab=9, layers=(Layer(mixer=odd, ffn=MLP(hidden=64)),), output=Pooled(), context=8))
    monkeypatch.setattr("engine.embedded.encoder.load.supports_encoder", lambda arch: False)
    loaded = load_encoder(folder("bert"), FAST)
    assert loaded.recorder is None
    torch.testing.assert_close(rows(loaded, sentences()), theirs("bert", sentences()), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="int8"):
        load_encoder(folder("bert"), replace(FAST, dtype="int8"))
