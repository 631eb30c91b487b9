"""Small models with random weights, on the engine and on the reference backend, and the engine's core around them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from engine.api import Delta, Frames, ModelInfo, ReaderInfo, ReadsTokens, Request, Sampling
from engine.embedded.core import Core
from engine.embedded.engine import EmbeddedEngine
from engine.embedded.load import LoadedModel
from engine.embedded.memory.memory import Memory, owner_salt
from engine.embedded.on_torch.backend import TorchBackend
from engine.embedded.on_torch.pages import Storage
from engine.embedded.sampling.sampler import TokenSampler
from engine.embedded.scheduler import Limits
from engine.embedded.sequence import Sequence as Seq
from engine.embedded.speculation.drafter import Drafter
from engine.embedded.step.capture import Recorder
from engine.embedded.step.inputs import Inputs, largest_step
from engine.embedded.step.runner import Runner
from models.batch import Backend
from models.build import build
from models.reference import Reference, whole
from models.spec import MLP, Arch, Attention, Causal, Layer, Mask, QKNorm, Rope, Window, groups, long_ropes, slots
from models.stacks.decoder import Decoder

Model = TypeVar("Model", bound=nn.Module)
CPU = torch.device("cpu")
CONTEXT = 160
LIMITS = Limits(max_running=32, max_waiting=256, max_step_tokens=512, mixed_step_tokens=16)


def arch(*masks: Mask, heads: int = 4, kv_heads: int = 2, softcap: float | None = None, vocab: int = 96) -> Arch:
    """One layer per mask."""

    def layer(mask: Mask) -> Layer:
        mixer = Attention(heads=heads, kv_heads=kv_heads, head_dim=8, mask=mask, position=Rope(dim=8), softcap=softcap, qk_norm=QKNorm())
        return Layer(mixer=mixer, ffn=MLP(hidden=48))

    return Arch(dim=32, vocab=vocab, layers=tuple(map(layer, masks)), context=CONTEXT)


PLAIN = arch(Causal(), Causal())
WINDOWED = arch(Window(size=20), Causal(), Window(size=20), Window(size=7), kv_heads=1)
SLIDING = arch(Window(size=33), Window(size=33), softcap=5.0)
ARCHS = {"plain": PLAIN, "windowed": WINDOWED, "sliding": SLIDING}


def filled(arch: Arch, backend: Backend, seed: int = 0) -> Decoder:
    """The same weights for the same seed, whatever the backend."""
    return fill(build(arch, backend, context=CONTEXT), seed)


def fill(model: Model, seed: int = 0) -> Model:
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        fields = getattr(module, "fields", {})
        for field, shape in fields.items():
            module.assign(field, torch.randn(shape, generator=generator) * (1.5 / shape[-1] ** 0.5 if len(shape) == 2 else 0.3))  # type: ignore[operator]
        if not fields:
            _fill_norm(module, generator)
    return model


def _fill_norm(module: nn.Module, generator: torch.Generator) -> None:
    for name, parameter in module.named_parameters(recurse=False):
        noise = 1 + 0.2 * torch.randn(parameter.shape, generator=generator)
        parameter.data.copy_(-noise.abs() if name in ("decay", "rate") else noise)


class Oracle:
    """What a model says of a whole text, with no memory at all."""

    def __init__(self, arch: Arch, dtype: torch.dtype = torch.float32) -> None:
        self._model = filled(arch, Reference(dtype))
        self._known: dict[tuple[int, ...], list[int]] = {}

    @torch.inference_mode()
    def logits(self, tokens: Sequence[int], read: Sequence[int] = ()) -> Tensor:
        """float32 logits_TY"""
        inputs = [torch.tensor(read)] if read else None
        batch = whole([len(tokens)], ropes=long_ropes(self._model.arch), context=CONTEXT, inputs=inputs)
        return self._model.logits(self._model(torch.tensor(tokens), batch))

    def greedy(self, prompt: tuple[int, ...], count: int) -> list[int]:
        """The next `count` tokens."""
        known = self._known.setdefault(prompt, [])
        while len(known) < count:
            known.append(int(self.logits([*prompt, *known])[-1].argmax()))
        return known[:count]


def sizes(arch: Arch, pages: int) -> dict:
    return dict.fromkeys(groups(arch), pages)


def core(
    arch: Arch,
    pages: int = 64,
    limits: Limits | None = None,
    recorder: Recorder | None = None,
    dtype: torch.dtype = torch.float32,
    states: int = 32,
    drafter: Drafter | None = None,
) -> Core:
    """`states`: slots, if `arch` has any."""
    limits = limits or LIMITS
    counts, places = sizes(arch, pages), states if slots(arch) else None
    model = filled(arch, TorchBackend(Storage(pages=counts, slots=places, device=CPU, dtype=dtype, fill_nan=True)))
    most = largest_step(limits, CONTEXT, CONTEXT if arch.encoder else 0)
    inputs = Inputs(most, tuple(counts), CPU, ropes=long_ropes(arch), context=CONTEXT, slots=places)
    return Core(Runner(model, inputs, recorder), Memory(counts, slots=places, seed=b"test"), limits, drafter=drafter)


_arrivals = count()


def sequence(
    core: Core, tokens: Sequence[int], sampling: Sampling, priority: int = 0, read: Sequence[int] | Frames = (), owner: str = ""
) -> Seq:
    """`read`: what an encoder reads before: tokens, or frames, two for a row."""
    given, rows = (read, len(read.rows) // 2) if isinstance(read, Frames) else (tuple(read), len(read))
    request = Request(tokens=tuple(tokens), sampling=sampling, priority=priority, encoder=given, owner=owner)
    limit = min(CONTEXT, len(tokens) + sampling.max_tokens)
    sampler = TokenSampler(sampling, sampling.seed or 0, request.tokens)
    tables, salt = core.memory.tables(limit, rows), owner_salt(owner)
    return Seq(request, next(_arrivals), limit, tables, sampler, salt=salt, inputs=rows)


def greedy(max_tokens: int, **more: object) -> Sampling:
    return Sampling(max_tokens=max_tokens, temperature=0, **more)  # type: ignore[arg-type]


def drain(core: Core, most: int = 5000) -> None:
    """Step until nothing is left; checks the books after each step."""
    for _ in range(most):
        if core.idle:
            return
        with torch.inference_mode():
            core.step()
        core.memory.check()
    raise AssertionError("the engine makes no progress")


def answer(seq: Seq) -> list[int]:
    return seq.tokens[seq.prompt : seq.length].tolist()


def loaded(
    arch: Arch, tokenizer: Path = Path("none"), end_tokens: tuple[int, ...] = (), pages: int = 64, limits: Limits | None = None
) -> LoadedModel:
    """What load_model makes of a directory."""
    counts, reads = sizes(arch, pages), ReadsTokens(vocab=arch.vocab)
    return LoadedModel(
        model=filled(arch, TorchBackend(Storage(pages=counts, device=CPU, dtype=torch.float32, fill_nan=True))),
        info=ModelInfo(
            context=CONTEXT,
            vocab=arch.vocab,
            reader=ReaderInfo(context=CONTEXT, reads=reads) if arch.encoder else None,
        ),
        pages=counts,
        ropes=long_ropes(arch),
        device=CPU,
        recorder=None,
        tokenizer=tokenizer.read_text() if tokenizer.exists() else "",
        end_tokens=end_tokens,
        threads=1,
        limits=limits or LIMITS,
    )


@asynccontextmanager
async def running(loaded: LoadedModel, shared: Sequence[tuple[int, ...]] = ()) -> AsyncIterator[EmbeddedEngine]:
    """An engine whose books balance at the end."""
    engine = EmbeddedEngine(loaded, shared)
    try:
        yield engine
    finally:
        await engine.close()
        engine._memory.check()


async def collect(engine: EmbeddedEngine, request: Request) -> Delta:
    """All deltas of a request as one."""
    out = Delta()
    async for delta in engine.generate(request):
        assert out.finish is None
        out = Delta(tokens=out.tokens + delta.tokens, logprobs=out.logprobs + delta.logprobs, finish=delta.finish, usage=delta.usage)
    return out
