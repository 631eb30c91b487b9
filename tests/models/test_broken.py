"""Tensors of packed matrices that are missing, cut, longer or of another type: an error names the matrix, or nothing changes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.formats import unpacked
from models.quant import Grouped, WeightsError
from tests.models import packers
from tests.models.test_bitsandbytes import FOUR, four
from tests.models.test_compressed import quantization, scheme
from tests.models.test_formats import dense, tensors

RANDOM = np.random.default_rng(8)
Case = tuple[str, dict[str, Tensor], dict[str, Any]]


def cases() -> Iterator[Case]:
    q, zero, group_I = RANDOM.integers(0, 16, (64, 24)), RANDOM.integers(1, 16, (2, 24)), RANDOM.permutation(np.arange(64) // 32)
    scales, f8, f4 = torch.rand(2, 24), torch.randn(24, 64).to(torch.float8_e4m3fn), torch.randint(256, (24, 32), dtype=torch.uint8)
    gptq = tensors(packers.gptq(q, zero, 4, 1)) | {"scales": scales, "g_idx": torch.from_numpy(group_I).int()}
    yield "gptq", gptq, {"quant_method": "gptq", "bits": 4}
    yield "awq", tensors(packers.awq(q, zero)) | {"scales": scales}, {"quant_method": "awq", "bits": 4}
    yield "fp8 blocks", {"weight": f8, "weight_scale_inv": torch.rand(2, 2)}, {"quant_method": "fp8", "weight_block_size": [16, 32]}
    yield "fp8 rows", {"weight": f8, "weight_scale": torch.rand(24)}, {"quant_method": "fp8"}
    parts = tensors(packers.compressed(q.T - 8, zero.T - 8, 4)) | {"weight_scale": scales.T.contiguous()}
    group = {"weight_g_idx": torch.from_numpy(group_I).int()}
    yield "pack", parts, quantization("pack-quantized", scheme("int", 4, "group", 32, symmetric=False))
    yield "pack apart", parts | group, quantization("pack-quantized", scheme("int", 4, "group", 32, symmetric=False))
    int8 = {"weight": torch.randint(-128, 128, (24, 64), dtype=torch.int8), "weight_scale": torch.rand(24, 1)}
    yield "int8", int8, quantization("int-quantized", scheme("int", 8, "channel"))
    yield "float8", {"weight": f8, "weight_scale": torch.rand(2, 1)}, quantization("float-quantized", scheme("float", 8, "block"))
    nv = {"weight_packed": f4, "weight_scale": torch.rand(24, 4).to(torch.float8_e4m3fn), "weight_global_scale": torch.ones(1)}
    yield "nvfp4", nv, quantization("nvfp4-pack-quantized", scheme("float", 4, "tensor_group", 16))
    mx = {"weight_scale": torch.randint(120, 130, (24, 2), dtype=torch.uint8)}
    yield "mxfp4", mx | {"weight_packed": f4}, quantization("mxfp4-pack-quantized", scheme("float", 4, "group", 32))
    f6 = {"weight_packed": torch.randint(256, (24, 48), dtype=torch.uint8)}
    yield "mxfp6", mx | f6, quantization("mxfp6-pack-quantized", scheme("float", 6, "group", 32))
    yield "mxfp8", mx | {"weight": f8}, quantization("mxfp8-quantized", scheme("float", 8, "group", 32))
    yield "nf4", four("nf4", 64, None)[0], FOUR
    yield "nf4 twice", four("nf4", 64, 4)[0], FOUR
    yield "bitsandbytes 8", {"weight": int8["weight"], "SCB": torch.rand(24)}, FOUR


CASES = {name: (parts, quantization) for name, parts, quantization in cases()}


def broken(tensor: Tensor) -> Iterator[Tensor]:
    """Cut and longer along each axis, one axis more and one less, and of another type."""
    for axis in range(tensor.dim()):
        yield tensor.narrow(axis, 0, tensor.shape[axis] - 1).contiguous()
        yield tensor.narrow(axis, 0, 0).contiguous()
        yield torch.cat([tensor, tensor], axis)
    yield tensor[None]
    yield tensor.flatten()
    yield tensor.view(torch.uint8).to(torch.float64)


def read(parts: dict[str, Tensor], quantization: dict[str, Any]) -> Tensor:
    opened = unpacked({f"m.{name}": value for name, value in parts.items()}, quantization)
    assert "m.weight" in set(opened)
    return dense(opened["m.weight"])


@pytest.mark.parametrize("name", CASES)
def test_a_broken_part(name: str) -> None:
    """Where a matrix could be one of another shape it is, which a model then refuses."""
    parts, quantization = CASES[name]
    whole = read(parts, quantization)
    for part, tensor in parts.items():
        for other in broken(tensor):
            try:
                got = read(parts | {part: other}, quantization)
            except WeightsError as error:
                assert str(error).startswith(("m.", "the checkpoint has no tensor m."))
            else:
                assert got.shape != whole.shape or torch.equal(got, whole), f"{part} {list(other.shape)} gave other numbers"


@pytest.mark.parametrize("name", CASES)
def test_a_part_that_is_missing(name: str) -> None:
    parts, quantization = CASES[name]
    mains = {"qweight", "weight", "weight_packed"}
    for part in parts.keys() - mains - {"g_idx", "weight_g_idx"}:  # without these groups lie in a row
        with pytest.raises(WeightsError, match=rf"no tensor m\.{part}|m\.weight\.absmax must be float32"):
            read({name: value for name, value in parts.items() if name != part}, quantization)
    for main in parts.keys() & mains:
        assert "m.weight" not in set(unpacked({f"m.{name}": value for name, value in parts.items() if name != main}, quantization))


@pytest.mark.parametrize("name", ["gptq", "pack apart"])
@pytest.mark.parametrize("group", [-2, 2, 1000])
def test_a_group_that_there_is_not(name: str, group: int) -> None:
    parts, quantization = CASES[name]
    part = next(part for part in parts if part.endswith("g_idx"))
    wrong = parts[part].clone()
    wrong[3] = group
    with pytest.raises(WeightsError, match=rf"m\.{part} must lie between 0 and 1"):
        read(parts | {part: wrong}, quantization)


@pytest.mark.parametrize("shape", [[24, 63], [25, 64], [24, 128], [0, 0], [-1, -1], [2**40, 2**40]])
def test_a_shape_that_is_another(shape: list[int]) -> None:
    parts, quantization = CASES["pack"]
    with pytest.raises(WeightsError, match=r"^m\.weight"):
        read(parts | {"weight_shape": torch.tensor(shape)}, quantization)


def test_experts_in_four_bits() -> None:
    blocks, scales = torch.zeros(2, 8, 3, 16, dtype=torch.uint8), torch.zeros(2, 8, 3, dtype=torch.uint8)
    for wrong in ({"e_blocks": blocks[:, :, :2], "e_scales": scales}, {"e_blocks": blocks, "e_scales": scales.int()}, {"e_blocks": blocks}):
        with pytest.raises(WeightsError, match="e_scales"):
            unpacked(wrong, {"quant_method": "mxfp4"})["e"]


def test_symmetric_weights_with_a_zero_point() -> None:
    parts, _ = CASES["pack"]
    symmetric = quantization("pack-quantized", scheme("int", 4, "group", 32))
    with pytest.raises(WeightsError, match=r"m\.weight_zero_point must be zero"):
        read(parts, symmetric)
    assert isinstance(
        unpacked({f"m.{name}": v for name, v in parts.items() if name != "weight_zero_point"}, symmetric)["m.weight"], Grouped
    )
