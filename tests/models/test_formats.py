"""Quantized checkpoints: every format against its definition written out, or against transformers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from models.checkpoint import open_checkpoint
from models.formats import unpacked
from models.hf import ConfigError
from models.quant import Grouped, Stack, Weight, each
from tests.models import packers
from tests.models.test_parity import tiny
from tests.models.world import logits_of, make, ours, prompts

RANDOM = np.random.default_rng(3)
INPUTS, OUTPUTS = 128, 40


def matrix(bits: int, size: int) -> tuple[Any, Any, Tensor]:
    """q_IO, zero_GO and scale_GO of random matrices."""
    groups = INPUTS // size
    q_IO, zero_GO = RANDOM.integers(0, 2**bits, (INPUTS, OUTPUTS)), RANDOM.integers(1, 2**bits, (groups, OUTPUTS))
    return q_IO, zero_GO, torch.from_numpy(RANDOM.uniform(0.01, 0.1, (groups, OUTPUTS))).half()


def truth(q_IO: Any, zero_GO: Any, scale_GO: Tensor, group_I: Any) -> Tensor:
    """[O, I]"""
    return torch.from_numpy((q_IO - zero_GO[group_I]) * scale_GO.double().numpy()[group_I]).T.float()


def tensors(packed: dict[str, Any]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(value) for name, value in packed.items()}


def weight(parts: dict[str, Tensor], quantization: dict[str, Any], stem: str = "a.") -> Weight:
    opened = unpacked({stem + name: value for name, value in parts.items()} | {"b": torch.zeros(1)}, quantization)
    assert set(opened) == {f"{stem}weight" if stem.endswith(".") else stem, "b"}
    return opened[f"{stem}weight" if stem.endswith(".") else stem]


def dense(value: Weight) -> Tensor:
    return value.float() if isinstance(value, Tensor) else value.dequantize()


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [8, 16, 32, 64, 128])
@pytest.mark.parametrize("version", ["gptq", "gptq_v2"])
def test_gptq(bits: int, size: int, version: str) -> None:
    q_IO, zero_GO, scale_GO = matrix(bits, size)
    group_I = np.arange(INPUTS) // size
    parts = tensors(packers.gptq(q_IO, zero_GO, bits, 1 if version == "gptq" else 0))
    parts |= {"scales": scale_GO, "g_idx": torch.from_numpy(group_I).int()}
    quantization = {"quant_method": "gptq", "bits": bits, "group_size": size, "sym": False, "checkpoint_format": version}
    got = weight(parts, quantization)
    assert isinstance(got, Grouped) == (size >= 16)
    torch.testing.assert_close(dense(got), truth(q_IO, zero_GO, scale_GO, group_I), rtol=1e-6, atol=1e-6)


def test_gptq_whose_groups_lie_apart() -> None:
    q_IO, zero_GO, scale_GO = matrix(4, 32)
    group_I = RANDOM.permutation(np.arange(INPUTS) // 32)
    parts = tensors(packers.gptq(q_IO, zero_GO, 4, 1)) | {"scales": scale_GO, "g_idx": torch.from_numpy(group_I).int()}
    got = weight(parts, {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": True, "sym": False})
    torch.testing.assert_close(dense(got), truth(q_IO, zero_GO, scale_GO, group_I), rtol=1e-6, atol=1e-6)


def test_gptq_files_that_lie() -> None:
    """They call themselves the first format, and store the zeros of the second: a symmetric one's lie in the middle."""
    q_IO, _, scale_GO = matrix(4, 64)
    zero_GO = np.full((INPUTS // 64, OUTPUTS), 8)
    quantization = {"quant_method": "gptq", "bits": 4, "group_size": 64, "sym": True}
    for less in (0, 1):
        parts = tensors(packers.gptq(q_IO, zero_GO, 4, less)) | {"scales": scale_GO}
        got = dense(weight(parts, quantization))
        torch.testing.assert_close(got, truth(q_IO, zero_GO, scale_GO, np.arange(INPUTS) // 64), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [32, 128])
def test_awq(size: int) -> None:
    q_IO, zero_GO, scale_GO = matrix(4, size)
    zero_GO[0, :3] = 0
    parts = tensors(packers.awq(q_IO, zero_GO)) | {"scales": scale_GO}
    got = weight(parts, {"quant_method": "awq", "bits": 4, "group_size": size, "version": "gemm", "zero_point": True})
    assert isinstance(got, Grouped)
    torch.testing.assert_close(got.dequantize(), truth(q_IO, zero_GO, scale_GO, np.arange(INPUTS) // size), rtol=1e-6, atol=1e-6)


def test_fp8_by_blocks_that_do_not_divide() -> None:
    plain = torch.randn(70, 50)
    packed, scale = plain.to(torch.float8_e4m3fn), torch.rand(3, 2) + 0.5
    got = weight({"weight": packed, "weight_scale_inv": scale}, {"quant_method": "fp8", "weight_block_size": [32, 32]})
    want = torch.stack([torch.stack([packed[i, j].float() * scale[i // 32, j // 32] for j in range(50)]) for i in range(70)])
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize(
    "scale", [torch.tensor(0.3), torch.tensor([0.3]), torch.rand(8), torch.rand(8, 1)], ids=lambda t: str(list(t.shape))
)
def test_fp8_by_rows_or_as_a_whole(scale: Tensor) -> None:
    packed = torch.randn(8, 6).to(torch.float8_e4m3fn)
    got = weight({"weight": packed, "weight_scale": scale, "input_scale": torch.ones(())}, {"quant_method": "fp8"})
    rows = scale.reshape(-1, 1) if scale.numel() > 1 else scale.reshape(())
    torch.testing.assert_close(got, packed.float() * rows)


def test_mxfp4_as_transformers_reads_it() -> None:
    blocks = torch.randint(0, 256, (3, 10, 2, 16), dtype=torch.uint8)
    scales = torch.randint(118, 136, (3, 10, 2), dtype=torch.uint8)
    got = weight({"_blocks": blocks, "_scales": scales}, {"quant_method": "mxfp4"}, stem="experts.gate_up_proj")
    assert isinstance(got, Stack) and got.flipped is not None
    want = convert_moe_packed_tensors(blocks, scales).float()
    assert torch.equal(got.dequantize(), want) and torch.equal(got.flipped.dequantize(), want.mT)
    assert all(isinstance(part, Grouped) for part in each(got.flipped))
    scales[1, 4, 1] = 150  # beyond float16
    got = weight({"_blocks": blocks, "_scales": scales}, {"quant_method": "mxfp4"}, stem="experts.gate_up_proj")
    assert torch.equal(dense(got), convert_moe_packed_tensors(blocks, scales).float())


def test_a_whole_model(tmp_path: Path) -> None:
    """GPTQ in every matrix of a Llama; the embedding and the head stay as they are."""
    theirs = make(tiny("llama"))
    theirs.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    for name in [name for name in stored if name.endswith("_proj.weight")]:
        stored |= _quantized(name.removesuffix("weight"), stored.pop(name))
        theirs.get_parameter(name).data.copy_(_ROUNDED[name])
    save_file(stored, tmp_path / "model.safetensors")
    config = json.loads((tmp_path / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": False, "desc_act": False}
    (tmp_path / "config.json").write_text(json.dumps(config))
    tokens = prompts([23, 1, 7])
    with torch.no_grad():
        want = torch.cat([theirs(t[None]).logits[0] for t in tokens])
    torch.testing.assert_close(logits_of(ours(tmp_path), tokens), want, rtol=1e-4, atol=1e-4)


_ROUNDED: dict[str, Tensor] = {}


def _quantized(stem: str, plain_OI: Tensor) -> dict[str, Tensor]:
    groups = plain_OI.shape[1] // 32
    spans = plain_OI.unflatten(1, (groups, 32))
    scale_OG = ((spans.amax(-1) - spans.amin(-1)) / 15).half()
    zero_OG = (-spans.amin(-1) / scale_OG.float()).round().clamp(1, 15)
    q_OGS = (spans / scale_OG.float()[..., None] + zero_OG[..., None]).round().clamp(0, 15)
    _ROUNDED[f"{stem}weight"] = ((q_OGS - zero_OG[..., None]) * scale_OG.float()[..., None]).flatten(1)
    packed = packers.gptq(q_OGS.flatten(1).T.long().numpy(), zero_OG.T.long().numpy(), 4, 1)
    return {stem + name: value for name, value in (tensors(packed) | {"scales": scale_OG.T.contiguous()}).items()}


@pytest.mark.parametrize(
    ("quantization", "message"),
    [
        ({"quant_method": "quip"}, "quant_method = 'quip' is not supported, only awq, bitsandbytes, compressed-tensors, fp8, gptq, mxfp4"),
        ({}, "quant_method is missing"),
        ({"quant_method": "gptq", "bits": 5}, "bits = 5 is not supported"),
        ({"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"}, "checkpoint_format = 'marlin' is not supported"),
        ({"quant_method": "gptq", "bits": 4, "rotation": "hadamard"}, "nobody read rotation"),
        ({"quant_method": "awq", "bits": 4, "version": "gemv"}, "version = 'gemv' is not supported"),
        ({"quant_method": "fp8", "fmt": "e5m2"}, "fmt = 'e5m2' is not supported"),
    ],
)
def test_refused_by_name(quantization: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        unpacked({}, quantization)


def test_older_files_say_it_beside(tmp_path: Path) -> None:
    make(tiny("llama")).save_pretrained(tmp_path)
    (tmp_path / "quantize_config.json").write_text(json.dumps({"bits": 5, "group_size": 128}))
    with pytest.raises(ConfigError, match="bits = 5 is not supported"):
        open_checkpoint(tmp_path)


def test_a_model_that_reads_images_says_it_of_its_text_part(tmp_path: Path) -> None:
    make(tiny("llama")).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {"quantization_config": {"quant_method": "quip"}}}))
    with pytest.raises(ConfigError, match="'quip' is not supported"):
        open_checkpoint(tmp_path)
