"""From a directory to answers, against the reference backend, and what is refused."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.api import Request, Sampling
from engine.embedded.load import LoadedModel, LoadOptions, load_model, open_machine
from engine.embedded.memory.sizes import TooLittleMemory
from engine.embedded.on_torch.backend import TorchBackend
from engine.embedded.scheduler import Limits
from models.families import arch_of
from models.families.dense import llama as llama_family
from models.reference import whole
from tests.engine.tiny import collect, running
from tests.models import world

LIMITS = Limits(max_running=3, max_waiting=256, max_step_tokens=24, mixed_step_tokens=7)
EXACT = LoadOptions(dtype=torch.float32, kv_memory=1 << 20, threads=1, limits=LIMITS)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("llama")
    world.make(llama_family.TINY).save_pretrained(made)
    return made


def answers(loaded: LoadedModel, prompts: list[Tensor], count: int) -> list[list[int]]:
    async def run() -> list[list[int]]:
        async with running(loaded) as engine:
            sampling = Sampling(max_tokens=count, temperature=0)
            requests = [Request(tokens=tuple(prompt.tolist()), sampling=sampling) for prompt in prompts]
            return [list((await got).tokens) for got in [asyncio.ensure_future(collect(engine, request)) for request in requests]]

    return asyncio.run(run())


def test_answers_as_the_reference(llama: Path) -> None:
    """Every family, held to transformers: test_families.py."""
    model, prompts = world.ours(llama), world.prompts([5, 40, 23, 61])
    for prompt, answer in zip(prompts, answers(load_model(llama, EXACT), prompts, 10), strict=True):
        tokens = [*prompt.tolist(), *answer]
        logits_TY = model.logits(model(torch.tensor(tokens[:-1]), whole([len(tokens) - 1])))[len(prompt) - 1 :]
        best_T = logits_TY.amax(-1)
        assert torch.all(logits_TY.gather(1, torch.tensor(answer)[:, None])[:, 0] > best_T - 1e-4)


def test_info(llama: Path) -> None:
    loaded = load_model(llama, replace(EXACT, context=100))
    config = json.loads((llama / "config.json").read_text())
    assert (loaded.info.context, loaded.info.vocab, loaded.info.architecture) == (100, config["vocab_size"], "LlamaForCausalLM")


def test_ends_come_from_both_files(llama: Path, tmp_path: Path) -> None:
    for path in llama.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    edit(tmp_path / "config.json", eos_token_id=7)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [9, 7]}')
    assert load_model(tmp_path, EXACT).end_tokens == (7, 9)


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("quantize", [None, "int4", "int8"])
def test_bf16_and_quantized_answer_much_alike(llama: Path, quantize: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On plain torch, without the compiled kernels."""
    monkeypatch.setattr("engine.embedded.load.supports", lambda arch: False)
    loaded = load_model(llama, replace(EXACT, dtype=torch.bfloat16, quantize=quantize))
    exact, tokens = load_model(llama, EXACT), world.prompts([30])[0]
    with torch.inference_mode():
        mine, theirs = (first_logits(each, tokens) for each in (loaded, exact))
    assert torch.nn.functional.cosine_similarity(mine, theirs, dim=0) > (0.9 if quantize == "int4" else 0.995)
    assert len(answers(loaded, [tokens], 12)[0]) == 12  # both forms of a 4-bit weight: many rows, then one


def first_logits(loaded: LoadedModel, tokens: Tensor) -> Tensor:
    """After the whole prompt, in one step, on pages 0, 1, ..."""
    batch = whole([len(tokens)])
    table_SW = torch.arange(4, dtype=torch.int32)[None]
    batch = replace(batch, pages=dict.fromkeys(loaded.pages, table_SW))
    return loaded.model.logits(loaded.model(tokens, batch)[-1:])[0]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (replace(EXACT, context=1 << 30), ValueError, "context = 1073741824"),
        (replace(EXACT, context=0), ValueError, "context = 0"),
        (replace(EXACT, quantize="int4"), ValueError, "bfloat16"),
        (replace(EXACT, device="tpu"), ValueError, "device = 'tpu'"),
        (replace(EXACT, kv_memory=100), TooLittleMemory, "100 bytes"),
    ],
)
def test_what_is_refused(llama: Path, options: LoadOptions, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        load_model(llama, options)


def test_plain_torch_where_kernels_do_not_fit(llama: Path) -> None:
    arch = arch_of(json.loads((llama / "config.json").read_text()))
    machine = open_machine(arch, {}, replace(EXACT, dtype=torch.float32))
    assert isinstance(machine.backend, TorchBackend)
    assert machine.recorder is None
