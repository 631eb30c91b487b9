"""GGUF's blocks, exactly as the gguf library reads them."""

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from numpy.typing import NDArray
from torch import Tensor

from models.gguf.blocks import decode
from models.quant import Grouped, Stack, WeightsError


def stored(kind: Kind, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Its bytes, and the float32 numbers that the library reads back from them."""
    data = gguf.quantize(weight.numpy(), kind)
    return torch.from_numpy(data.view(np.uint8).ravel().copy()), torch.from_numpy(gguf.dequantize(data, kind))


@pytest.mark.parametrize(("kind", "bits"), [(Kind.Q4_0, 4), (Kind.Q4_1, 4), (Kind.Q8_0, 8)], ids=["Q4_0", "Q4_1", "Q8_0"])
@pytest.mark.parametrize("shape", [(1, 32), (5, 96), (64, 256)])
def test_grouped(kind: Kind, bits: int, shape: tuple[int, int]) -> None:
    data, want = stored(kind, torch.randn(shape))
    got = decode(kind.name, data, shape)
    assert isinstance(got, Grouped) and got.bits == bits and got.shape == shape
    assert int(got.q_OI.max()) < 2**bits
    assert torch.equal(got.dequantize(), want)


@pytest.mark.parametrize("kind", [Kind.F32, Kind.F16, Kind.BF16], ids=["F32", "F16", "BF16"])
def test_plain_is_a_view(kind: Kind) -> None:
    data, want = stored(kind, torch.randn(6, 10))
    got = decode(kind.name, data, (6, 10))
    assert isinstance(got, Tensor) and got.data_ptr() == data.data_ptr()
    assert torch.equal(got.float(), want.view(torch.float32) if kind == Kind.F32 else want)


# bits, inputs in a group, where the float16 numbers of a block begin
FORMS = {
    Kind.Q4_0: (4, 32, (0,)),
    Kind.Q4_1: (4, 32, (0, 2)),
    Kind.Q5_0: (8, 32, (0,)),
    Kind.Q5_1: (8, 32, (0, 2)),
    Kind.Q8_0: (8, 32, (0,)),
    Kind.IQ4_NL: (8, 32, (0,)),
    Kind.MXFP4: (8, 32, ()),
    Kind.Q2_K: (4, 16, (80, 82)),
    Kind.Q3_K: (4, 16, (108,)),
    Kind.Q4_K: (4, 32, (0, 2)),
    Kind.Q5_K: (8, 32, (0, 2)),
    Kind.Q6_K: (8, 16, (208,)),
    Kind.IQ4_XS: (8, 32, (0,)),
}


def any_bytes(kind: Kind, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A tensor whose every bit means something: no float16 of it is inf or NaN."""
    (size, count), random = gguf.GGML_QUANT_SIZES[kind], np.random.default_rng(0)
    blocks = random.integers(0, 256, (shape[0], shape[1] // size, count), dtype=np.uint8)
    for at in FORMS[kind][2]:
        blocks[..., at : at + 2] = random.standard_normal((*blocks.shape[:2], 1)).astype(np.float16).view(np.uint8)
    if kind == Kind.MXFP4:
        blocks[..., 0] = random.integers(1, 200, blocks.shape[:2])
    return blocks.reshape(shape[0], -1)


@pytest.mark.parametrize("kind", FORMS, ids=lambda kind: kind.name)
def test_every_packed_kind(kind: Kind) -> None:
    data = any_bytes(kind, (24, 768))
    got, want = decode(kind.name, torch.from_numpy(data.ravel().copy()), (24, 768)), torch.from_numpy(gguf.dequantize(data, kind))
    assert isinstance(got, Grouped) and (got.bits, got.size, got.shape) == (*FORMS[kind][:2], (24, 768))
    assert int(got.q_OI.max()) < 2**got.bits
    span_OG = want.unflatten(1, (-1, got.size)).abs().amax(-1, keepdim=True)
    error = (got.dequantize() - want).unflatten(1, (-1, got.size)).abs()
    assert bool((error <= 2e-6 * span_OG).all()) and want.std() > 0


def test_codebooks_are_dense() -> None:
    data = np.zeros((2, gguf.GGML_QUANT_SIZES[Kind.IQ2_XXS][1]), np.uint8)
    data[:, 1] = 60
    got = decode("IQ2_XXS", torch.from_numpy(data.ravel()), (2, 256))
    assert isinstance(got, Tensor) and torch.equal(got, torch.from_numpy(gguf.dequantize(data, Kind.IQ2_XXS)))


@pytest.mark.parametrize("kind", ["Q8_1", "Q9_X"])
def test_a_kind_that_nobody_reads_is_refused_by_name(kind: str) -> None:
    with pytest.raises(WeightsError, match=f"GGUF type {kind} cannot be read: quantize the model to one of F32, F16, .*Q6_K"):
        decode(kind, torch.zeros(36, dtype=torch.uint8), (1, 32))


def test_stacked_experts_stay_packed() -> None:
    data = any_bytes(Kind.Q6_K, (6, 512))
    got = decode("Q6_K", torch.from_numpy(data.ravel().copy()), (3, 2, 512))
    assert isinstance(got, Stack) and got.shape == (3, 2, 512) and isinstance(got.of(2), Grouped)
    torch.testing.assert_close(got.dequantize().flatten(0, 1), torch.from_numpy(gguf.dequantize(data, Kind.Q6_K)), rtol=1e-5, atol=1e-4)


def test_one_axis() -> None:
    data, want = stored(Kind.Q8_0, torch.randn(64))
    got = decode("Q8_0", data, (64,))
    assert isinstance(got, Tensor) and torch.equal(got, want)
