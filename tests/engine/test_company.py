"""On the compiled kernels, with recorded steps: what a sequence answers does not depend on who else is there, on how
its prompt is cut, on preemption or on prefix hits. Bit for bit, so sampled answers must not change either."""

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.api import Sampling
from engine.embedded.core import Core
from engine.embedded.kernels.library import Library
from engine.embedded.memory.memory import Memory
from engine.embedded.native.backend import NativeBackend
from engine.embedded.native.ops import Recordings
from engine.embedded.scheduler import Limits
from engine.embedded.speculation.drafter import Drafter
from engine.embedded.step.inputs import Inputs, largest_step
from engine.embedded.step.runner import Runner
from models.spec import (
    MLP,
    Arch,
    Attention,
    Causal,
    LatentAttention,
    Layer,
    Mamba,
    Mamba2,
    Mask,
    Mixer,
    MoE,
    Parallel,
    Rope,
    ShortConv,
    Sigmoid,
    Window,
    groups,
    slots,
)
from tests.engine.tiny import CONTEXT, CPU, LIMITS, Seq, answer, drain, filled, sequence

LONG = 40  # tokens of an answer


def _attention(mask: Mask) -> Attention:
    return Attention(heads=4, kv_heads=2, head_dim=16, mask=mask, position=Rope(dim=16))


def _latent(mask: Mask) -> Mixer:
    return LatentAttention(heads=5, kv_rank=32, rope_dim=16, nope_dim=16, value_dim=32, mask=mask, position=Rope(dim=16))


EXPERTS = MoE(experts=7, active=2, hidden=32, router=Sigmoid(), shared=32, shared_gate=True, latent=48)


def _arch(first: Mixer, second: Mixer) -> Arch:
    layers = (Layer(mixer=first, ffn=MLP(hidden=96)), Layer(mixer=second, ffn=None), Layer(mixer=None, ffn=EXPERTS))
    return Arch(dim=64, vocab=200, layers=layers, context=CONTEXT)


ARCHS = {
    "attention": _arch(_attention(Window(size=20)), _attention(Causal())),
    "latent": _arch(_latent(Window(size=20)), _latent(Causal())),
    "both": _arch(_attention(Causal()), _latent(Causal())),
    "states": _arch(Mamba2(heads=6, head_dim=20, state=24, groups=2), Mamba(inner=72, state=16, rank=5)),
    "hybrid": _arch(ShortConv(channels=72), Parallel(mixers=(_attention(Causal()), Mamba2(heads=4, head_dim=72, state=9)))),
}


def engine(library: Library, arch: Arch, pages: int, limits: Limits, drafter: Drafter | None = None) -> Core:
    counts, places = dict.fromkeys(groups(arch), pages), pages if slots(arch) else None
    backend = NativeBackend(library, counts, slots=places or 0)
    inputs = Inputs(largest_step(limits, CONTEXT), tuple(counts), CPU, slots=places)
    model = filled(arch, backend)
    for leaf in backend.states.values():
        leaf.states[:places] = torch.nan  # nobody has written there
    return Core(Runner(model, inputs, Recordings(backend.kernels)), Memory(counts, slots=places, seed=b""), limits, drafter=drafter)


def requests(seed: int) -> list[tuple[list[int], Sampling]]:
    rnd = random.Random(seed)
    stem = rnd.choices(range(200), k=rnd.choice([0, 16, 50]))
    prompts = [stem + rnd.choices(range(200), k=rnd.randint(1, 50)) for _ in range(rnd.randint(2, 6))]
    return [(p, Sampling(max_tokens=rnd.randint(1, LONG), temperature=rnd.choice([0.0, 1.0]), seed=i)) for i, p in enumerate(prompts)]


@pytest.mark.parametrize("name", ARCHS)
@given(
    seed=st.integers(0, 10_000),
    pages=st.integers(12, 30),
    running=st.integers(1, 6),
    step_tokens=st.integers(16, 90),
    mixed_tokens=st.integers(3, 40),
)
@settings(max_examples=15, deadline=None, database=None)
def test_alone_and_in_company(
    library: Library, name: str, seed: int, pages: int, running: int, step_tokens: int, mixed_tokens: int
) -> None:
    arch, asked = ARCHS[name], requests(seed)
    alone = [answer(ask(engine(library, arch, 64, LIMITS), [each])[0]) for each in asked]
    limits = replace(LIMITS, max_running=running, max_step_tokens=step_tokens, mixed_step_tokens=min(mixed_tokens, step_tokens))
    together = ask(engine(library, arch, pages, limits), asked)
    assert [answer(seq) for seq in together] == alone


def ask(core: Core, asked: list[tuple[list[int], Sampling]]) -> list[Seq]:
    """All arrive a step after another."""
    seqs = [sequence(core, prompt, sampling) for prompt, sampling in asked]
    with torch.inference_mode():
        for seq in seqs:
            core.add(seq)
            core.step()
    drain(core)
    assert core._runner._captured  # nothing made it fall back to unrecorded steps
    return seqs
