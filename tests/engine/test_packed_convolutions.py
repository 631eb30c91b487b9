"""Convolutions with packed weights return what plain ones do."""

import pytest
import torch

from engine.embedded.images.packed import PackedConvolution, pack_convolutions
from models.parts.diffusion.convolution import Convolution


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, None), (3, 2, 0), (1, 1, None)])
def test_packed_as_plain(kernel: int, stride: int, padding: int | None, bias: bool) -> None:
    """Also for other sizes and numbers of pictures than the first, and for pictures with channels last."""
    generator = torch.Generator().manual_seed(0)
    plain = Convolution((20, 36), kernel, torch.float32, stride=stride, padding=padding, bias=bias)
    for buffer in plain.buffers():
        buffer.copy_(torch.randn(buffer.shape, generator=generator))
    model = torch.nn.Sequential(plain)
    pack_convolutions(model)
    assert isinstance(model[0], PackedConvolution if torch.backends.mkldnn.is_available() else Convolution)
    for count, high, wide in ((2, 8, 8), (1, 5, 9), (8, 4, 4)):
        x_NCHW = torch.randn(count, 20, high, wide, generator=generator)
        for given in (x_NCHW, x_NCHW.contiguous(memory_format=torch.channels_last)):
            torch.testing.assert_close(model(given), plain(given), rtol=1e-4, atol=1e-4)


def test_other_numbers_stay_as_they_are() -> None:
    model = torch.nn.Sequential(Convolution((4, 4), 3, torch.bfloat16))
    pack_convolutions(model)
    assert isinstance(model[0], Convolution)
