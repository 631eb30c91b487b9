"""A tiny Mixtral that was trained to spell numbers (tests/tiny_models/number_words.py), on the engine: what it says of numbers it
has never seen is right only if every part is, the routing above all."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.api import Request, Sampling
from engine.embedded.kernels.library import levels
from engine.embedded.load import LoadOptions, load_model
from engine.embedded.scheduler import Limits
from tests.engine.tiny import collect, running
from tests.tiny_models.number_words import ALPHABET, BEGIN, END, encode, held_out, words

FOLDER = Path(__file__).parents[1] / "data" / "number-words"
LIMITS = Limits(max_running=16, max_waiting=256, max_step_tokens=64, mixed_step_tokens=16)
NUMBERS = held_out()[::20]  # a hundred, of one to five digits


@pytest.mark.parametrize("quantize", ["float32", None, "int8", "int4"])
def test_numbers_it_has_never_seen(quantize: Any) -> None:
    """On plain torch, and in bf16, 8 and 4 bits on the kernels where there are some."""
    plain = quantize == "float32"
    dtype, quantize = (torch.float32, None) if plain else (torch.bfloat16, quantize)
    loaded = load_model(FOLDER, LoadOptions(kv_memory=1 << 22, dtype=dtype, quantize=quantize, threads=1, limits=LIMITS))
    assert plain or not levels() or loaded.recorder

    async def spell() -> list[str]:
        async with running(loaded) as engine:
            sampling = Sampling(max_tokens=80, temperature=0, stop_tokens=frozenset({END}))
            requests = [Request(tokens=(BEGIN, *encode(f"{n}=")), sampling=sampling) for n in NUMBERS]
            answers = await asyncio.gather(*(collect(engine, request) for request in requests))
            return [text([token for token in answer.tokens if token != END]) for answer in answers]

    wrong = [(n, said) for n, said in zip(NUMBERS, asyncio.run(spell()), strict=True) if said != words(n)]
    assert not wrong


def text(tokens: list[int]) -> str:
    return "".join(ALPHABET[token] for token in tokens)
