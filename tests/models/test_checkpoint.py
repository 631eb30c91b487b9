"""Model directories as mappings. GGUF files of every kind: test_gguf.py; sharded models: test_parity.py."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.checkpoint import open_checkpoint
from models.quant import WeightsError

A, B = torch.randn(3, 4), torch.randn(5).bfloat16()


def test_one_file(tmp_path: Path) -> None:
    save_file({"a": A, "b": B}, tmp_path / "model.safetensors")
    checkpoint = open_checkpoint(tmp_path)
    assert sorted(checkpoint) == ["a", "b"] and len(checkpoint) == 2 and checkpoint.form == "safetensors"
    assert torch.equal(checkpoint["a"], A) and torch.equal(checkpoint["b"], B)  # type: ignore[arg-type]


def index(directory: Path, names: dict[str, str]) -> None:
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


def test_only_the_shards_of_the_index(tmp_path: Path) -> None:
    save_file({"a": A}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"b": B}, tmp_path / "model-00002-of-00002.safetensors")
    save_file({"c": A}, tmp_path / "consolidated.safetensors")
    index(tmp_path, {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"})
    assert sorted(open_checkpoint(tmp_path)) == ["a", "b"]


def test_missing_shard(tmp_path: Path) -> None:
    save_file({"a": A}, tmp_path / "one.safetensors")
    index(tmp_path, {"a": "one.safetensors", "b": "two.safetensors"})
    with pytest.raises(WeightsError, match=r"has no two\.safetensors"):
        open_checkpoint(tmp_path)


def test_index_cannot_leave_the_directory(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    save_file({"a": A}, tmp_path / "secret.safetensors")
    index(tmp_path / "model", {"a": "../secret.safetensors"})
    with pytest.raises(WeightsError, match=r"has no secret\.safetensors"):
        open_checkpoint(tmp_path / "model")


def test_no_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"has no model\.safetensors and no tensors\.json"):
        open_checkpoint(tmp_path)


def test_nobody_writes_through_the_map(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(A.numpy().tobytes())
    entry = {"name": "a", "type": "F32", "shape": [3, 4], "offset": 0, "nbytes": 48}
    (tmp_path / "tensors.json").write_text(json.dumps([entry]))
    weight = open_checkpoint(tmp_path)["a"]
    assert isinstance(weight, torch.Tensor) and torch.equal(weight, A)
    weight.zero_()
    assert (tmp_path / "model.gguf").read_bytes() == A.numpy().tobytes()
