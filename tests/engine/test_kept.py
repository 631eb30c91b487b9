"""Packed weights that are mapped at the next start: the same bits, or the checkpoint again."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import nn

from engine.api import Request, Sampling
from engine.embedded.kernels.library import levels
from engine.embedded.load import LoadedModel, LoadOptions, load_model
from engine.embedded.native import kept
from engine.embedded.native.tensor_file import facts_of, read, write
from engine.embedded.scheduler import Limits
from models.checkpoint import open_checkpoint
from models.weights.source import Checkpoint
from tests.engine.tiny import collect, running
from tests.models.test_parity import tiny
from tests.models.world import make

pytestmark = pytest.mark.skipif(not levels(), reason="the kernels need a compiler at installation and a processor with AVX2")
LIMITS = Limits(max_running=2, max_waiting=4, max_step_tokens=24, mixed_step_tokens=7)


class Loader:
    """Loads models, and waits until their files are written. `read`: how often a checkpoint was read."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.read = folder, 0
        monkeypatch.setattr(kept, "SMALLEST", 0)
        monkeypatch.setattr("engine.embedded.load.open_checkpoint", self._open)

    def __call__(self, directory: Path, quantize: Literal["int4", "int8"] | None = None) -> LoadedModel:
        options = LoadOptions(kv_memory=1 << 21, threads=1, limits=LIMITS, packed=self.folder, context=64, quantize=quantize)
        loaded = load_model(directory, options)
        for thread in threading.enumerate():
            if thread.name == "keep packed weights":
                thread.join()
        return loaded

    def _open(self, directory: Path) -> Checkpoint:
        self.read += 1
        return open_checkpoint(directory)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loader:
    return Loader(tmp_path / "packed", monkeypatch)


def save(family: str, directory: Path) -> Path:
    make(tiny(family)).save_pretrained(directory)
    return directory


def contents(loaded: LoadedModel) -> dict[str, bytes]:
    assert isinstance(loaded.model, nn.Module)
    return {
        name: value.contiguous().flatten().view(torch.uint8).numpy().tobytes() for name, value in kept.contents(loaded.model)[0].items()
    }


def greedy(loaded: LoadedModel) -> tuple[int, ...]:
    async def run() -> tuple[int, ...]:
        async with running(loaded) as engine:
            return (await collect(engine, Request(tokens=(5, 9, 2, 7), sampling=Sampling(max_tokens=12, temperature=0)))).tokens

    return asyncio.run(run())


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral", "deepseek_v2", "mamba2", "qwen3_next"])
def test_the_next_start_maps_the_same_bits(family: str, tmp_path: Path, load: Loader) -> None:
    directory = save(family, tmp_path / family)
    made, again = load(directory), load(directory)
    assert load.read == 1
    assert contents(made) == contents(again) and greedy(made) == greedy(again)
    assert len(list((tmp_path / "packed").iterdir())) == 1


def test_what_changed_is_made_anew(tmp_path: Path, load: Loader) -> None:
    directory = save("llama", tmp_path / "llama")
    four = load(directory, "int4")
    load(directory, "int4")
    assert load.read == 1
    load(directory, "int8")
    assert load.read == 2
    weights = directory / "model.safetensors"
    other = bytearray(weights.read_bytes())
    other[-2:] = b"\x00\x40"  # of the last tensor
    weights.write_bytes(other)
    changed = load(directory, "int4")
    assert load.read == 3 and contents(changed) != contents(four)
    load(directory, "int4")
    assert load.read == 3


DAMAGES: list[Callable[[bytes], bytes]] = [
    lambda data: data[:-40],
    lambda data: data[:-100] + b"\x55" * 100,
    lambda data: b"no",
    lambda data: b"",
    lambda data: data[:30] + b"?" + data[31:],
    lambda data: data[:15] + b"\xff" + data[16:],  # the header's length
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_costs_time_and_nothing_else(damage: Callable[[bytes], bytes], tmp_path: Path, load: Loader) -> None:
    directory = save("llama", tmp_path / "llama")
    made = load(directory)
    (file,) = (tmp_path / "packed").iterdir()
    file.write_bytes(damage(file.read_bytes()))
    again = load(directory)
    assert load.read == 2 and contents(again) == contents(made)
    load(directory)
    assert load.read == 2


def test_weights_of_what_is_gone_are_removed(tmp_path: Path, load: Loader) -> None:
    first = save("llama", tmp_path / "first")
    load(first)
    for file in first.iterdir():
        file.unlink()
    first.rmdir()
    (tmp_path / "packed" / "other.packed").write_bytes(b"damaged")
    load(save("gpt2", tmp_path / "second"))
    (file,) = (tmp_path / "packed").iterdir()
    assert facts_of(file)["directory"] == str((tmp_path / "second").resolve())


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path, load: Loader) -> None:
    (tmp_path / "packed").write_text("a file")
    directory = save("llama", tmp_path / "llama")
    assert contents(load(directory)) == contents(load(directory))


def test_tensors_of_all_sorts(tmp_path: Path) -> None:
    given = {
        "numbers": torch.arange(5, dtype=torch.int32),
        "none": torch.empty(0, 3),
        "one": torch.tensor(2.5),
        "turned": torch.randn(3, 4, dtype=torch.float16).T,
        "halves": torch.randn(2, 3, 5).bfloat16(),
    }
    write(tmp_path / "x", given, {"a": [1, None]})
    found, facts = read(tmp_path / "x")
    assert facts == {"a": [1, None]} == facts_of(tmp_path / "x") and found.keys() == given.keys()
    assert all(torch.equal(found[name], given[name]) and found[name].dtype == given[name].dtype for name in given)
    assert all(value.data_ptr() % 64 == 0 for value in found.values() if value.numel())
