"""Tiny models that were trained to spell numbers (tests/tiny_models/number_words.py), on the engine: what they say of numbers they
have never seen is right only if every part is, the routing and the states above all."""

import asyncio
from typing import Any

import pytest
import torch

from engine.api import Request, Sampling, Stats
from engine.embedded.kernels.library import levels
from engine.embedded.load import LoadedModel, LoadOptions, load_model
from engine.embedded.native.supports import supports
from engine.embedded.scheduler import Limits
from models.families import arch_of
from server.weights.pull import pull
from tests.engine.tiny import collect, running
from tests.models.world import read_config
from tests.tiny_models.number_words import ALPHABET, BEGIN, END, encode, held_out, words

NAMES = ("mixtral", "mamba2", "lfm2")
LIMITS = Limits(max_running=16, max_waiting=256, max_step_tokens=64, mixed_step_tokens=16)
TINY = Limits(max_running=16, max_waiting=256, max_step_tokens=5, mixed_step_tokens=3)
NUMBERS = held_out()[::20]  # a hundred, of one to five digits


def load(name: str, quantize: Any, kv_memory: int, limits: Limits) -> LoadedModel:
    plain = quantize == "float32"
    dtype, quantize = (torch.float32, None) if plain else (torch.bfloat16, quantize)
    return load_model(
        pull(f"number-words-{name}"), LoadOptions(kv_memory=kv_memory, dtype=dtype, quantize=quantize, threads=1, limits=limits)
    )


async def spell(loaded: LoadedModel, numbers: list[int]) -> tuple[list[str], Stats]:
    async with running(loaded) as engine:
        sampling = Sampling(max_tokens=80, temperature=0, stop_tokens=frozenset({END}))
        requests = [Request(tokens=(BEGIN, *encode(f"{n}=")), sampling=sampling) for n in numbers]
        answers = await asyncio.gather(*(collect(engine, request) for request in requests))
        return [text([token for token in answer.tokens if token != END]) for answer in answers], engine.stats()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("quantize", ["float32", None, "int8", "int4"])
def test_numbers_it_has_never_seen(name: str, quantize: Any) -> None:
    """On plain torch, and in bf16, 8 and 4 bits, on the kernels where there are some."""
    loaded = load(name, quantize, 1 << 22, LIMITS)
    assert quantize == "float32" or not levels() or not supports(arch_of(read_config(pull(f"number-words-{name}")))) or loaded.recorder
    numbers = NUMBERS if name == "mixtral" else NUMBERS[::4]
    said, _ = asyncio.run(spell(loaded, numbers))
    assert [(n, answer) for n, answer in zip(numbers, said, strict=True) if answer != words(n)] == []


@pytest.mark.parametrize(("name", "kv_memory"), [("mixtral", 230_000), ("mamba2", 1_000_000), ("lfm2", 175_000)])
def test_in_small_pieces_with_little_memory(name: str, kv_memory: int) -> None:
    """Where there are pages, they run out; of slots no more sequences begin than can end."""
    numbers = NUMBERS[1::4]
    said, stats = asyncio.run(spell(load(name, "float32", kv_memory, TINY), numbers))
    assert said == list(map(words, numbers))
    assert stats.preemptions > 0 or not stats.pages_total
    assert stats.slots_free + stats.slots_cached == stats.slots_total


def text(tokens: list[int]) -> str:
    return "".join(ALPHABET[token] for token in tokens)
