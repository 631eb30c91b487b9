"""Every family on the engine, paged, chunked, preempted, with prefix hits and company: it answers what transformers' model
of the same checkpoint holds for the best token. On plain torch, and on the compiled kernels, where company changes no bit."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.embedded.core import Core
from engine.embedded.kernels.library import levels
from engine.embedded.load import LoadedModel, LoadOptions, load_model
from engine.embedded.memory.memory import Memory
from engine.embedded.native.supports import supports
from engine.embedded.scheduler import Limits
from engine.embedded.sequence import Sequence
from engine.embedded.step.inputs import Inputs, largest_step
from engine.embedded.step.runner import Runner
from models.families import FAMILIES, arch_of, stoa
from models.reference import Reference
from models.spec import MLP, S4, Arch, Attention, ImplicitFilter, Layer, LongConv, MoE
from tests.engine.tiny import CPU, answer, drain, filled, greedy, sequence
from tests.models.test_json_form import tensors
from tests.models.test_parity import PHIMOE_ROPE, tiny
from tests.models.world import CONTEXT, logits_of, make, their_logits

native = pytest.mark.skipif(not levels(), reason="the kernels need a compiler at installation and a processor with AVX2")
LIMITS = Limits(max_running=4, max_waiting=64, max_step_tokens=24, mixed_step_tokens=9)
SLOTS = 9
PAGES = 12  # of 16 tokens: not enough for four sequences of up to 60
CHANGES = {"phimoe": {"rope_parameters": PHIMOE_ROPE}}


def load(directory: Path, dtype: torch.dtype) -> LoadedModel:
    return load_model(directory, LoadOptions(kv_memory=1 << 22, dtype=dtype, context=CONTEXT, limits=LIMITS, threads=1))


def core(loaded: LoadedModel) -> Core:
    slots = SLOTS if loaded.slots else None
    inputs = Inputs(largest_step(LIMITS, CONTEXT), tuple(loaded.pages), CPU, ropes=loaded.ropes, context=CONTEXT, slots=slots)
    memory = Memory(dict.fromkeys(loaded.pages, PAGES), slots=slots, seed=b"")
    return Core(Runner(loaded.model, inputs, loaded.recorder), memory, LIMITS)


def prompts(seed: int) -> list[list[int]]:
    """Longer than any tiny model's original context; some begin alike."""
    rnd = random.Random(seed)
    stem = rnd.choices(range(256), k=33)
    return [stem + rnd.choices(range(256), k=n) for n in (1, 9, 12)] + [rnd.choices(range(256), k=n) for n in (20, 41)]


DECODERS = sorted({module.rpartition(".")[2] for module in FAMILIES.values()} - {"stoa"})


@pytest.mark.parametrize("family", DECODERS)
def test_answers_as_transformers_would(family: str, tmp_path: Path) -> None:
    theirs = make(tiny(family, **CHANGES.get(family, {})))
    theirs.save_pretrained(tmp_path)
    seqs = answers(core(load(tmp_path, torch.float32)), prompts(7))
    for seq in seqs:
        assert best(seq, their_logits(theirs, [torch.from_numpy(seq.tokens[: seq.length - 1])]), 1e-3).all()
    assert any(seq.cached for seq in seqs)


def test_a_written_architecture_answers_as_its_reference(tmp_path: Path) -> None:
    long = LongConv(channels=20, filter=ImplicitFilter(length=160, hidden=8), order=3)
    layers = (Layer(mixer=S4(channels=24, state=6), ffn=MLP(hidden=40)), Layer(mixer=long, ffn=None))
    reference = filled(Arch(dim=24, vocab=256, layers=layers, context=160), Reference())
    (tmp_path / "config.json").write_text(json.dumps(stoa.config_of(reference.arch)))
    save_file(tensors(reference), tmp_path / "model.safetensors")
    for seq in answers(core(load(tmp_path, torch.float32)), prompts(7)):
        assert best(seq, logits_of(reference, [torch.from_numpy(seq.tokens[: seq.length - 1])]), 1e-3).all()


def answers(engine: Core, asked: list[list[int]]) -> list[Sequence]:
    """They arrive a step after another."""
    seqs = [sequence(engine, prompt, greedy(14), priority=i % 2) for i, prompt in enumerate(asked)]
    with torch.inference_mode():
        for seq in seqs:
            engine.add(seq)
            engine.step()
    drain(engine)
    assert all(seq.generated == 14 for seq in seqs)
    return seqs


@native
@pytest.mark.parametrize("family", [family for family in DECODERS if supports(arch_of(tiny(family)))])
def test_the_kernels_answer_as_transformers_would(family: str, tmp_path: Path) -> None:
    theirs = make(tiny(family, **CHANGES.get(family, {})))
    theirs.save_pretrained(tmp_path)
    loaded = load(tmp_path, torch.bfloat16)
    engine = core(loaded)
    together, alone = answers(engine, prompts(7)), [answers(core(loaded), [prompt])[0] for prompt in prompts(7)]
    assert engine._runner._captured  # the kernels were there, and no step had to do without a recording
    assert [answer(seq) for seq in together] == [answer(seq) for seq in alone]
    right: list[torch.Tensor] = []
    for seq in together:
        logits_TY = their_logits(theirs, [torch.from_numpy(seq.tokens[: seq.length - 1])])
        right.append(best(seq, logits_TY, 0.05 * float(logits_TY.abs().max())))
    # a router that is about to choose another expert does so for the least rounding
    mixed = any(isinstance(layer.ffn, MoE) for layer in arch_of(tiny(family)).layers)
    assert torch.cat(right).float().mean() >= (0.85 if mixed else 1)


def test_what_is_left_to_torch() -> None:
    assert not supports(arch_of(tiny("reformer_lm")))  # hashed attention, two streams, positions of two tables
    for family in set(DECODERS) - {"reformer_lm"}:
        arch = arch_of(tiny(family))
        assert supports(arch) or not all(isinstance(layer.mixer, Attention) for layer in arch.layers)
        attention = tuple(layer for layer in arch.layers if isinstance(layer.mixer, Attention) and layer.mixer.gate is None)
        assert supports(replace(arch, layers=attention))


def best(seq: Sequence, logits_TY: torch.Tensor, within: float) -> torch.Tensor:
    """bool, of each token of the answer: it is the best after those before it; ties within rounding aside."""
    rows_QY = logits_TY[seq.prompt - 1 :]
    chosen_Q = rows_QY.gather(1, torch.from_numpy(seq.tokens[seq.prompt : seq.length])[:, None])[:, 0]
    return chosen_Q > rows_QY.amax(-1) - within
