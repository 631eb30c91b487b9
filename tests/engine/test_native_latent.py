"""Latent attention on the compiled kernels: what its pages weigh, and families of it under paging, chunking, preemption, prefix
hits and company."""

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.embedded.core import Core
from engine.embedded.kernels.library import Library, levels
from engine.embedded.load import LoadOptions, load_model
from engine.embedded.memory.memory import Memory
from engine.embedded.memory.page_pool import PAGE
from engine.embedded.native.backend import NativeBackend
from engine.embedded.native.ops import Recordings
from engine.embedded.step.inputs import Inputs, largest_step
from engine.embedded.step.runner import Runner
from models.describe import cache_bytes
from models.spec import MLP, Arch, LatentAttention, Layer, Rope, groups
from tests.engine.test_families import LIMITS, prompts
from tests.engine.tiny import CONTEXT, CPU, drain, filled, greedy, sequence
from tests.models import world
from tests.models.test_parity import tiny

pytestmark = pytest.mark.skipif(not levels(), reason="the kernels need a compiler at installation and a processor with AVX2")


def test_pages_weigh_what_the_formula_says() -> None:
    """R + P numbers for each token and layer: of DeepSeek-V3 1,152 bytes, where keys and values of all heads would be 81,920."""
    v3 = LatentAttention(heads=128, kv_rank=512, rope_dim=64, nope_dim=128, value_dim=128, position=Rope(dim=64))
    arch = Arch(dim=64, vocab=96, layers=(Layer(mixer=v3, ffn=MLP(hidden=64)),) * 2, context=CONTEXT)
    ((group, layers),), library = groups(arch).items(), Library.open(1)
    assert library is not None
    backend = NativeBackend(library, {group: 9})
    inputs, memory = Inputs(largest_step(LIMITS, CONTEXT), [group], CPU), Memory({group: 9})
    core = Core(Runner(filled(arch, backend), inputs, Recordings(backend.kernels)), memory, LIMITS)
    core.add(sequence(core, range(70), greedy(3)))
    with torch.inference_mode():
        while not memory.pools[0].used:
            core.step()
    page_bytes = sum(leaf.latents_PTC.nbytes for leaf in backend.latents.values()) // memory.pools[0].total
    assert page_bytes == PAGE * len(layers) * 1152 == cache_bytes(arch, PAGE)
    assert memory.pools[0].used * page_bytes == cache_bytes(arch, 80)  # 70 tokens lie in five pages
    assert 2 * v3.heads * (v3.nope_dim + v3.rope_dim + v3.value_dim) == 81_920
    drain(core)


DENSE = {"first_k_dense_replace": 3}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("minicpm3", {}),
    ("deepseek_v2", DENSE),
    ("deepseek_v2", DENSE | {"q_lora_rank": None, "kv_lora_rank": 48, "qk_nope_head_dim": 16, "qk_rope_head_dim": 16, "v_head_dim": 32}),
    ("deepseek_v3", DENSE),
]


@pytest.mark.parametrize(("family", "changes"), CASES)
def test_answers_as_transformers_would(family: str, changes: dict[str, Any], tmp_path: Path) -> None:
    theirs = world.make(tiny(family, **changes))
    with torch.no_grad():
        for parameter in theirs.parameters():  # what bf16 pages and products round is enough to tell apart
            parameter.copy_(parameter.bfloat16())
    theirs.save_pretrained(tmp_path)
    loaded = load_model(tmp_path, LoadOptions(kv_memory=1 << 22, context=world.CONTEXT, limits=LIMITS, threads=1))
    assert isinstance(loaded.recorder, Recordings)
    inputs = Inputs(largest_step(LIMITS, world.CONTEXT), tuple(loaded.pages), CPU)
    engine = Core(Runner(loaded.model, inputs, loaded.recorder), Memory(dict.fromkeys(loaded.pages, 12), seed=b""), LIMITS)
    seqs = [sequence(engine, prompt, greedy(40), priority=i % 2) for i, prompt in enumerate(prompts(7))]
    with torch.inference_mode():
        for seq in seqs:
            engine.add(seq)
            engine.step()
    drain(engine)
    for seq in seqs:
        rows_QY = world.their_logits(theirs, [torch.from_numpy(seq.tokens[: seq.length - 1])])[seq.prompt - 1 :]
        chosen_Q = rows_QY.gather(1, torch.from_numpy(seq.tokens[seq.prompt : seq.length])[:, None])[:, 0]
        assert (chosen_Q > rows_QY.amax(-1) - 0.1 * rows_QY.std(-1)).all()
    assert any(seq.cached for seq in seqs) and engine.scheduler.preemptions and engine._runner._captured
