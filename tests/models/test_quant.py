"""Groups of 32 small integers: what `--quantize` makes of a matrix."""

import pytest
import torch

from models.quant import GROUP, Grouped, concatenate, quantize


@pytest.mark.parametrize("bits", [4, 8])
def test_quantize_is_near(bits: int) -> None:
    weight = torch.randn(7, 96)
    grouped = quantize(weight, bits)
    span = weight.unflatten(1, (-1, GROUP))
    step = (span.amax(-1) - span.amin(-1)) / 15 if bits == 4 else span.abs().amax(-1) / 127
    error = (grouped.dequantize() - weight).unflatten(1, (-1, GROUP)).abs().amax(-1)
    assert (grouped.bits, grouped.shape, int(grouped.q_OI.max()) < 2**bits) == (bits, (7, 96), True)
    assert bool((error < 0.52 * step + 2e-3).all())


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("value", [0.0, 0.5, -3.0])
def test_constant_groups(bits: int, value: float) -> None:
    torch.testing.assert_close(quantize(torch.full((2, 32), value), bits).dequantize(), torch.full((2, 32), value), rtol=2e-3, atol=1e-6)


def test_other_orders_and_concatenate() -> None:
    a, b = quantize(torch.randn(4, 32), 4), quantize(torch.randn(3, 32), 8)
    order = torch.tensor([2, 0, 3, 1])
    assert torch.equal(a.rows(order).dequantize(), a.dequantize()[order])
    wide, groups = quantize(torch.randn(4, 96), 4), torch.arange(96).view(3, 32)[[2, 0, 1]].flatten()
    assert torch.equal(wide.inputs(groups).dequantize(), wide.dequantize()[:, groups])
    joined = concatenate([a, b])
    assert isinstance(joined, Grouped) and joined.bits == 8
    assert torch.equal(joined.dequantize(), torch.cat([a.dequantize(), b.dequantize()]))
    narrow = Grouped(8, b.q_OI, torch.rand(3, 2), torch.rand(3, 2))
    joined = concatenate([a, narrow])
    assert joined.size == 16 and torch.equal(joined.dequantize(), torch.cat([a.dequantize(), narrow.dequantize()]))
