"""The matrices of the torch backend. T rows, I inputs, O outputs; the form of a weight is chosen when it arrives, and
where there are two, at each call by the number of rows."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.quant import GROUP, Grouped, Weight, dense, quantize

# up to here PyTorch's int4 kernel, which reads a quarter of the bytes, beats bf16 (two Zen 4 cores, 3072x576)
INT4_ROWS = 8

Product = Callable[[Tensor], Tensor]  # x_TI -> y_TO, without bias


class QuantizingLinear(nn.Module):
    """x_TI -> y_TO in bf16 on the CPU. A 4-bit weight is kept packed for few rows and as bf16 for many; `bits` makes
    dense weights that can be grouped 4- or 8-bit first, None leaves them."""

    bias: Tensor | None

    def __init__(self, d_in: int, d_out: int, bias: bool, bits: int | None) -> None:
        super().__init__()
        self.fields = {"weight": (d_out, d_in)} | ({"bias": (d_out,)} if bias else {})
        self.bits = bits
        self.register_buffer("weight", torch.empty(0, dtype=torch.bfloat16))
        self.register_buffer("bias", torch.empty(d_out, dtype=torch.bfloat16) if bias else None)
        self._few: Product | None = None

    def assign(self, field: str, value: Weight) -> None:
        if field == "bias":
            self.get_buffer("bias").copy_(dense(value))
            return
        value = quantized(value, self.bits)
        if isinstance(value, Grouped) and (value.bits, value.size) == (4, GROUP) and value.shape[0] % 16 == 0:
            self._few = pack4(value)
        self.weight = dense(value).to(torch.bfloat16).contiguous()

    def forward(self, x_TI: Tensor) -> Tensor:
        if self._few is None or x_TI.shape[0] > INT4_ROWS:
            return F.linear(x_TI, self.weight, self.bias)
        y_TO = self._few(x_TI.contiguous())
        return y_TO if self.bias is None else y_TO + self.bias


def quantized(weight: Weight, bits: int | None) -> Weight:
    """A dense matrix in groups of `bits`; as it is where that is None, or where it does not divide into groups."""
    if bits is None or not isinstance(weight, Tensor) or weight.dim() != 2 or weight.shape[1] % GROUP:
        return weight
    return quantize(weight, bits)


def pack4(weight: Grouped) -> Product:
    """PyTorch's packed form: w = (q - 8) * scale + zero, so zero = low + 8 * scale; both rounded to bf16. O must be a
    multiple of 16."""
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(weight.q_OI.int(), 1)
    zero_OG = weight.low_OG.float() + 8 * weight.scale_OG.float()
    scales_GO2 = torch.stack([weight.scale_OG.float(), zero_OG], -1).transpose(0, 1).bfloat16().contiguous()
    return lambda x_TI: torch.ops.aten._weight_int4pack_mm_for_cpu(x_TI, packed, GROUP, scales_GO2)
