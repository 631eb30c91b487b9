"""What a text's tokens look at, and which experts compute them: as transformers' own models say."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch

from engine.api import EngineError, Inspection, Inspector, Request, Unsupported
from engine.embedded.engine import EmbeddedEngine
from engine.embedded.load import LoadOptions, load_model
from engine.embedded.scheduler import Limits
from tests.engine.tiny import collect, greedy, running
from tests.models import encoder_decoder_world as world
from tests.models.test_encoder_decoders import tiny as tiny_reader
from tests.models.test_parity import tiny
from tests.models.world import make

Found = TypeVar("Found")
LIMITS = Limits(max_running=4, max_waiting=8, max_step_tokens=64, mixed_step_tokens=16)
TOKENS = random.Random(0).choices(range(3, 250), k=40)
# grouped heads; a softcap, windows and a scale; sinks; ALiBi; latents; what has no attention in some layers
FAMILIES = ["llama", "gemma2", "gpt_oss", "bloom", "deepseek_v2", "qwen3_next"]


def asked(directory: Path, ask: Callable[[EmbeddedEngine], Awaitable[Found]]) -> Found:
    async def run() -> Found:
        options = LoadOptions(kv_memory=1 << 22, dtype=torch.float32, limits=LIMITS, threads=1)
        async with running(load_model(directory, options)) as engine:
            return await ask(engine)

    return asyncio.run(run())


def saved(family: str, directory: Path, **changes: Any) -> Any:
    theirs = make(tiny(family, **changes))
    theirs.save_pretrained(directory)
    theirs.set_attn_implementation("eager")
    return theirs


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_weights(family: str, tmp_path: Path) -> None:
    theirs = saved(family, tmp_path)
    weights = theirs(torch.tensor([TOKENS]), output_attentions=True, use_cache=False).attentions
    expected = {layer: found[0] for layer, found in enumerate(weights) if found is not None}

    async def ask(engine: EmbeddedEngine) -> list[Inspection]:
        assert isinstance(engine, Inspector)
        before = engine.stats()
        first = await engine.inspect(TOKENS)
        found = [first, *[await engine.inspect(TOKENS, layer) for layer in first.heads]]
        assert engine.stats() == before  # nothing is left behind
        return found

    first, *found = asked(tmp_path, ask)
    assert first.layer == min(first.heads) and len(found) == len(expected)
    for (layer, expected_HTT), told in zip(sorted(zip(first.heads, expected.values(), strict=True)), found, strict=True):
        assert told.layer == layer and told.attention is not None and told.heads[layer] == len(expected_HTT)
        torch.testing.assert_close(torch.from_numpy(told.attention), expected_HTT, rtol=1e-4, atol=1e-5)


def test_chosen_experts(tmp_path: Path) -> None:
    theirs = saved("mixtral", tmp_path)
    logits = theirs(torch.tensor([TOKENS]), output_router_logits=True, use_cache=False).router_logits
    told = asked(tmp_path, lambda engine: engine.inspect(TOKENS))
    assert len(told.experts) == len(logits) > 1
    for (layer, found), logits_TE in zip(told.experts.items(), logits, strict=True):
        assert found.experts == logits_TE.shape[1] and layer in told.heads
        best_TA = logits_TE.softmax(-1).topk(found.chosen.shape[1])
        assert (torch.from_numpy(found.chosen) == best_TA.indices).all()
        torch.testing.assert_close(torch.from_numpy(found.weights), best_TA.values / best_TA.values.sum(-1, keepdim=True))


def test_beside_answers(tmp_path: Path) -> None:
    """Neither changes the other."""
    saved("llama", tmp_path)

    async def ask(engine: EmbeddedEngine) -> None:
        request = Request(tokens=tuple(TOKENS), sampling=greedy(20))
        alone, looked = await collect(engine, request), await engine.inspect(TOKENS)
        beside = asyncio.create_task(collect(engine, request))
        again = [await engine.inspect(TOKENS) for _ in range(3)]
        assert (await beside).tokens == alone.tokens and looked.attention is not None
        assert all(told.attention is not None and np.array_equal(told.attention, looked.attention) for told in again)

    asked(tmp_path, ask)


def test_what_cannot_be_told(tmp_path: Path) -> None:
    saved("qwen3_next", tmp_path)

    async def ask(engine: EmbeddedEngine) -> None:
        heads = (await engine.inspect(TOKENS)).heads
        [other, *_] = set(range(9)) - set(heads)
        for tokens, layer, named in (
            ([], None, "tokens: "),
            (TOKENS * 2, None, "1 and 64"),
            ([10**6], None, "no token"),
            (TOKENS, other, "layer: "),
        ):
            with pytest.raises(EngineError, match=named):
                await engine.inspect(tokens, layer)

    asked(tmp_path, ask)


def test_models_that_read_an_input_are_refused(tmp_path: Path) -> None:
    world.make(tiny_reader("t5")).save_pretrained(tmp_path)

    async def ask(engine: EmbeddedEngine) -> None:
        with pytest.raises(Unsupported, match="one token after another"):
            await engine.inspect(TOKENS)

    asked(tmp_path, ask)
