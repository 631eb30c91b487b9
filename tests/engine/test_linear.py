import pytest
import torch

from engine.embedded.on_torch.linear import INT4_ROWS, QuantizingLinear, quantized
from models.quant import Grouped, quantize


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("rows", [1, INT4_ROWS, INT4_ROWS + 1, 63])
@pytest.mark.parametrize("bias", [True, False])
def test_every_form_is_the_dequantized_product(bits: int, rows: int, bias: bool) -> None:
    weight = quantize(random(48, 96) + 0.3, bits)
    linear, x_TI = QuantizingLinear(96, 48, bias, None), random(rows, 96).bfloat16()
    linear.assign("weight", weight)
    expected = x_TI.float() @ weight.dequantize().T
    if bias:
        linear.assign("bias", random(48))
        expected += random(48)
    assert torch.allclose(linear(x_TI).float(), expected, atol=0.02 * float(expected.abs().max()))


def test_outputs_that_the_kernel_cannot_take() -> None:
    weight, x_TI = quantize(random(20, 32), 4), random(2, 32).bfloat16()
    linear = QuantizingLinear(32, 20, False, None)
    linear.assign("weight", weight)
    assert torch.allclose(linear(x_TI).float(), x_TI.float() @ weight.dequantize().T, atol=0.1)


def test_what_is_quantized() -> None:
    assert isinstance(quantized(random(4, 64), 4), Grouped)
    assert isinstance(quantized(random(4, 33), 4), torch.Tensor)
    assert isinstance(quantized(random(4, 64), None), torch.Tensor)
    already = quantize(random(4, 64), 8)
    assert quantized(already, 4) is already
