"""GGUF's blocks, exactly as the gguf library reads them."""

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from torch import Tensor

from models.blocks import decode
from models.quant import Grouped


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


@pytest.mark.parametrize("kind", [Kind.Q5_0, Kind.Q5_1], ids=["Q5_0", "Q5_1"])
def test_the_rest_is_dense(kind: Kind) -> None:
    data, want = stored(kind, torch.randn(6, 64))
    got = decode(kind.name, data, (6, 64))
    assert isinstance(got, Tensor) and got.dtype == torch.float32 and torch.equal(got, want)


def test_one_axis() -> None:
    data, want = stored(Kind.Q8_0, torch.randn(64))
    got = decode("Q8_0", data, (64,))
    assert isinstance(got, Tensor) and torch.equal(got, want)
