"""compressed-tensors: every format and way to share scales against its definition written out; whole models."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.formats import unpacked
from models.hf import ConfigError
from models.quant import Grouped, WeightsError
from tests.models import packers
from tests.models.test_formats import dense, tensors, weight
from tests.models.test_parity import tiny
from tests.models.world import logits_of, make, ours, prompts

RANDOM = np.random.default_rng(5)
OUTPUTS, INPUTS = 20, 96
BLOCKS: dict[str, tuple[int, int]] = {"group": (1, 32), "channel": (1, INPUTS), "tensor": (OUTPUTS, INPUTS), "block": (16, 64)}


def quantization(form: str, weights: dict[str, Any], **more: Any) -> dict[str, Any]:
    """As llm-compressor writes it."""
    group = {"targets": ["Linear"], "weights": weights, "input_activations": None, "output_activations": None}
    found = {"quant_method": "compressed-tensors", "format": form, "config_groups": {"group_0": group}, "ignore": ["lm_head"]}
    fixed = {"quantization_status": "compressed", "kv_cache_scheme": None, "sparsity_config": {}, "transform_config": {}}
    return found | fixed | {"version": "0.20.1", "global_compression_ratio": None} | more


def scheme(kind: str, bits: int, strategy: str, size: int | None = None, **more: Any) -> dict[str, Any]:
    shared = {"num_bits": bits, "type": kind, "symmetric": True, "strategy": strategy, "group_size": size, "dynamic": False}
    return shared | ({"block_structure": list(BLOCKS["block"])} if strategy == "block" else {}) | more


def shared(numbers: Any, block: tuple[int, int]) -> Tensor:
    """Each number for its block of the matrix."""
    spread = [[numbers[o // block[0]][i // block[1]] for i in range(INPUTS)] for o in range(OUTPUTS)]
    return torch.tensor(spread, dtype=torch.float64)


def blocks(block: tuple[int, int]) -> tuple[int, int]:
    return -(-OUTPUTS // block[0]), -(-INPUTS // block[1])


def integers(bits: int, block: tuple[int, int]) -> tuple[Any, Any, Tensor]:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1)
    scale = torch.from_numpy(RANDOM.uniform(0.01, 0.1, blocks(block))).half()
    return RANDOM.integers(low, high, (OUTPUTS, INPUTS)), RANDOM.integers(low, high, blocks(block)), scale


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("strategy", "size"), [("group", 32), ("group", 16), ("group", 8), ("channel", None), ("tensor", None)])
def test_packed_integers(bits: int, symmetric: bool, strategy: str, size: int | None) -> None:
    block = (1, size) if size else BLOCKS[strategy]
    q, zero, scale = integers(bits, block)
    zero = zero * 0 if symmetric else zero
    parts = tensors(packers.compressed(q, None if symmetric or strategy == "tensor" else zero, bits))
    parts |= {} if symmetric or strategy != "tensor" else {"weight_zero_point": torch.from_numpy(zero).to(torch.int8).flatten()}
    parts |= {"weight_scale": scale.flatten() if strategy == "tensor" else scale}
    got = weight(parts, quantization("pack-quantized", scheme("int", bits, strategy, size, symmetric=symmetric)))
    assert isinstance(got, Grouped) == (size != 8)
    want = (torch.from_numpy(q) - shared(zero, block)) * shared(scale.double().tolist(), block)
    torch.testing.assert_close(dense(got), want.float(), rtol=1e-5, atol=2e-6)


def test_packed_integers_whose_groups_lie_apart() -> None:
    q, zero, scale = integers(4, (1, 32))
    group_I = RANDOM.permutation(np.arange(INPUTS) // 32)
    parts = tensors(packers.compressed(q, zero, 4)) | {"weight_scale": scale, "weight_g_idx": torch.from_numpy(group_I).int()}
    got = weight(parts, quantization("pack-quantized", scheme("int", 4, "group", 32, symmetric=False, actorder="group")))
    want = torch.from_numpy((q - zero[:, group_I]) * scale.double().numpy()[:, group_I]).float()
    torch.testing.assert_close(dense(got), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("strategy", ["group", "channel", "tensor"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_int8(strategy: str, symmetric: bool) -> None:
    block = BLOCKS[strategy]
    q, zero, scale = integers(8, block)
    zero = zero * 0 if symmetric else zero
    parts = {"weight": torch.from_numpy(q).to(torch.int8), "weight_scale": scale, "input_scale": torch.ones(1)}
    parts |= {} if symmetric else {"weight_zero_point": torch.from_numpy(zero).to(torch.int8)}
    got = weight(parts, quantization("int-quantized", scheme("int", 8, strategy, 32 if strategy == "group" else None, symmetric=symmetric)))
    assert isinstance(got, Grouped)
    want = (torch.from_numpy(q) - shared(zero, block)) * shared(scale.double().tolist(), block)
    torch.testing.assert_close(dense(got), want.float(), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("strategy", list(BLOCKS))
def test_float8(strategy: str) -> None:
    block = BLOCKS[strategy]
    packed, scale = torch.randn(OUTPUTS, INPUTS).to(torch.float8_e4m3fn), torch.rand(blocks(block)) + 0.5
    stored = scale.reshape(()) if strategy == "tensor" else scale.flatten() if strategy == "channel" else scale
    args = scheme("float", 8, strategy, 32 if strategy == "group" else None)
    got = weight({"weight": packed, "weight_scale": stored}, quantization("float-quantized", args))
    torch.testing.assert_close(dense(got), packed.float() * shared(scale.tolist(), block).float())


@pytest.mark.parametrize(("form", "bits"), [("nvfp4-pack-quantized", 4), ("mxfp4-pack-quantized", 4), ("mxfp6-pack-quantized", 6)])
def test_floats_of_few_bits(form: str, bits: int) -> None:
    size = 16 if form.startswith("nv") else 32
    codes = RANDOM.integers(0, 2**bits, (OUTPUTS, INPUTS))
    values = torch.tensor([[(packers.e2m1 if bits == 4 else packers.e2m3)(int(code)) for code in row] for row in codes])
    parts = {"weight_packed": torch.from_numpy(packers.codes(codes, bits))}
    if size == 16:
        scale = (torch.rand(blocks((1, 16))) * 4 + 1).to(torch.float8_e4m3fn)
        parts |= {"weight_scale": scale, "weight_global_scale": torch.tensor([37.0])}
        want = values * shared((scale.double() / 37).tolist(), (1, 16)).float()
    else:
        exponents = torch.from_numpy(RANDOM.integers(118, 134, blocks((1, 32)))).to(torch.uint8)
        parts |= {"weight_scale": exponents}
        want = values * shared([[2.0 ** (int(e) - 127) for e in row] for row in exponents], (1, 32)).float()
    got = weight(parts, quantization(form, scheme("float", bits, "tensor_group" if size == 16 else "group", size)))
    assert isinstance(got, Grouped) == (bits == 4)
    torch.testing.assert_close(dense(got), want, rtol=1e-5, atol=1e-6 * float(want.abs().max()))


def test_mxfp8() -> None:
    packed = torch.randn(OUTPUTS, INPUTS).to(torch.float8_e4m3fn)
    exponents = torch.from_numpy(RANDOM.integers(118, 134, blocks((1, 32)))).to(torch.uint8)
    got = weight({"weight": packed, "weight_scale": exponents}, quantization("mxfp8-quantized", scheme("float", 8, "group", 32)))
    assert torch.equal(dense(got), packed.float() * shared([[2.0 ** (int(e) - 127) for e in row] for row in exponents], (1, 32)).float())


def groups(*targets: tuple[list[str], dict[str, Any], str]) -> dict[str, Any]:
    return {f"group_{i}": {"targets": names, "weights": args, "format": form} for i, (names, args, form) in enumerate(targets)}


def test_a_whole_model_of_several_groups(tmp_path: Path) -> None:
    """Attention by class in 4 bits, feed-forward by pattern in int8, one matrix by its name in float8, one ignored; keys and values
    for a cache in 8 bits."""
    theirs = make(tiny("llama"))
    theirs.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    chosen = "model.layers.1.self_attn.o_proj"
    for name in [name for name in stored if name.endswith("_proj.weight") and not name.startswith("model.layers.2.mlp.down")]:
        pack = _float8 if name.startswith(chosen) else _int8 if ".mlp." in name else _int4
        parts, rounded = pack(stored.pop(name))
        stored |= {name.removesuffix("weight") + part: value for part, value in parts.items()}
        theirs.get_parameter(name).data.copy_(rounded)
    stored |= {f"model.layers.{i}.self_attn.{part}_scale": torch.ones(1) for i in range(3) for part in "kv"}
    save_file(stored, tmp_path / "model.safetensors")
    several = groups(
        (["Linear"], scheme("int", 4, "group", 32, symmetric=False), "pack-quantized"),
        ([r"re:.*\.mlp\..*"], scheme("int", 8, "channel"), "int-quantized"),
        ([chosen], scheme("float", 8, "tensor"), "float-quantized"),
    )
    ignore = ["lm_head", r"re:model\.layers\.2\.mlp\.down.*"]
    config = json.loads((tmp_path / "config.json").read_text())
    config["quantization_config"] = quantization("mixed-precision", {}, config_groups=several, ignore=ignore)
    (tmp_path / "config.json").write_text(json.dumps(config))
    tokens = prompts([23, 1, 7])
    with torch.no_grad():
        want = torch.cat([theirs(t[None]).logits[0] for t in tokens])
    torch.testing.assert_close(logits_of(ours(tmp_path), tokens), want, rtol=1e-4, atol=1e-4)


def _int4(plain: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    spans = plain.unflatten(1, (-1, 32))
    scale = (spans.amax(-1) - spans.amin(-1)) / 15
    zero = (-8 - spans.amin(-1) / scale).round().clamp(-8, 7)
    q = (spans / scale[..., None] + zero[..., None]).round().clamp(-8, 7)
    packed = packers.compressed(q.flatten(1).long().numpy(), zero.long().numpy(), 4)
    return tensors(packed) | {"weight_scale": scale}, ((q - zero[..., None]) * scale[..., None]).flatten(1)


def _int8(plain: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    scale = plain.abs().amax(1, keepdim=True) / 127
    q = (plain / scale).round().to(torch.int8)
    return {"weight": q, "weight_scale": scale}, q * scale


def _float8(plain: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    scale = plain.abs().amax() / 448
    q = (plain / scale).to(torch.float8_e4m3fn)
    return {"weight": q, "weight_scale": scale.reshape(1)}, q.float() * scale


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "marlin-24"}, "group_0: format = 'marlin-24' of 4-bit int is not supported, only pack-quantized of int"),
        ({"format": "float-quantized"}, "format = 'float-quantized' of 4-bit int is not supported"),
        ({"sparsity_config": {"format": "sparse-24-bitmask"}}, "sparsity_config: format = 'sparse-24-bitmask' is not supported"),
        ({"transform_config": {"config_groups": {"u": {}}}}, "transform_config = .* is not supported"),
        ({"config_groups": {"a": {"targets": ["Linear"]}}}, "a: weights is missing"),
        ({"config_groups": {"a": {"targets": [], "weights": {}}}}, "a: targets is missing"),
        ({"config_groups": {"a": {"targets": ["re:("], "weights": {}}}}, r"target 're:\(' is no pattern"),
        ({"config_groups": {"W4A16": ["Linear"]}}, "W4A16 = .* has the wrong type"),
        ({"config_groups": groups((["a"], scheme("int", 4, "token"), "pack-quantized"))}, "strategy = 'token' with .* is not supported"),
        ({"config_groups": groups((["a"], scheme("float", 8, "tensor", symmetric=False), "naive-quantized"))}, "symmetric = False"),
        ({"rotation": 1}, "nobody read rotation"),
    ],
)
def test_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        unpacked({}, quantization("pack-quantized", scheme("int", 4, "group", 32)) | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ignore": ["re:a.*"]}, "ab is packed, but quantization_config's ignore names it"),
        ({"config_groups": groups((["Embedding", "b"], scheme("int", 8, "tensor"), "int-quantized"))}, "ab is packed, but no target"),
    ],
)
def test_a_packed_matrix_without_a_scheme(changes: dict[str, Any], message: str) -> None:
    parts = {"weight": torch.zeros(2, 2, dtype=torch.int8), "weight_scale": torch.ones(1)}
    with pytest.raises(WeightsError, match=message):
        weight(parts, quantization("int-quantized", scheme("int", 8, "tensor")) | changes, stem="ab.")
