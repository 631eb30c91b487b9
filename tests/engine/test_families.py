"""Every family on the engine, paged, chunked, preempted, with prefix hits and company: it answers what transformers' model
of the same checkpoint holds for the best token."""

import random
from pathlib import Path

import pytest
import torch

from engine.embedded.core import Core
from engine.embedded.inputs import Inputs, largest_step
from engine.embedded.load import LoadOptions, load_model
from engine.embedded.memory.memory import Memory
from engine.embedded.runner import Runner
from engine.embedded.scheduler import Limits
from engine.embedded.sequence import Sequence
from models.families import FAMILIES
from tests.engine.tiny import CPU, drain, greedy, sequence
from tests.models.test_parity import PHIMOE_ROPE, tiny
from tests.models.world import CONTEXT, make, their_logits

LIMITS = Limits(max_running=4, max_waiting=64, max_step_tokens=24, mixed_step_tokens=9)
PAGES = 12  # of 16 tokens: not enough for four sequences of up to 60
CHANGES = {"phimoe": {"rope_parameters": PHIMOE_ROPE}}


def core(directory: Path) -> Core:
    options = LoadOptions(kv_memory=1 << 22, dtype=torch.float32, context=CONTEXT, limits=LIMITS, threads=1)
    loaded = load_model(directory, options)
    inputs = Inputs(largest_step(LIMITS, CONTEXT), tuple(loaded.pages), CPU, ropes=loaded.ropes, context=CONTEXT)
    return Core(Runner(loaded.model, inputs, None), Memory(dict.fromkeys(loaded.pages, PAGES), seed=b""), LIMITS)


def prompts(seed: int) -> list[list[int]]:
    """Longer than any tiny model's original context; some begin alike."""
    rnd = random.Random(seed)
    stem = rnd.choices(range(256), k=33)
    return [stem + rnd.choices(range(256), k=n) for n in (1, 9, 12)] + [rnd.choices(range(256), k=n) for n in (20, 41)]


@pytest.mark.parametrize("family", sorted({module.rpartition(".")[2] for module in FAMILIES.values()} - {"stoa"}))
def test_answers_as_transformers_would(family: str, tmp_path: Path) -> None:
    theirs = make(tiny(family, **CHANGES.get(family, {})))
    theirs.save_pretrained(tmp_path)
    engine = core(tmp_path)
    seqs = [sequence(engine, prompt, greedy(14), priority=i % 2) for i, prompt in enumerate(prompts(7))]
    with torch.inference_mode():
        for seq in seqs:
            engine.add(seq)
            engine.step()
    drain(engine)
    for seq in seqs:
        assert seq.generated == 14
        best(seq, their_logits(theirs, [torch.from_numpy(seq.tokens[: seq.length - 1])]))
    assert any(seq.cached for seq in seqs)


def best(seq: Sequence, logits_TY: torch.Tensor) -> None:
    """Every token of the answer is the best after those before it; ties within rounding aside."""
    rows_QY = logits_TY[seq.prompt - 1 :]
    chosen_Q = rows_QY.gather(1, torch.from_numpy(seq.tokens[seq.prompt : seq.length])[:, None])[:, 0]
    assert (chosen_Q > rows_QY.amax(-1) - 1e-3).all()
