"""Gated short convolutions. C channels."""

from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.recurrent.convolution import ShortConvolution
from models.spec import ShortConv


class ShortConvPart(nn.Module):
    """x_TD -> x_TD: out(c * conv(b * x)), where one matrix makes b, c and x."""

    def __init__(self, name: str, spec: ShortConv, dim: int, backend: Backend) -> None:
        super().__init__()
        self.ops, c = backend.ops, spec.channels
        self.into = backend.linear(f"{name}.into", dim, (c, c, c), bias=spec.bias)
        self.conv = ShortConvolution(f"{name}.conv", c, spec.kernel, spec.bias, backend)
        self.out = backend.linear(f"{name}.out", c, (dim,), bias=spec.bias, split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        b_TC, c_TC, x_TC = self.into(x_TD).chunk(3, -1)
        return self.out(self.ops.product(self.conv(self.ops.product(b_TC, x_TC, None), batch), c_TC, None))
