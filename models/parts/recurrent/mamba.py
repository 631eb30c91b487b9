"""Mamba. I inner channels, N numbers of state, R numbers that choose the step size."""

from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.norms import norm
from models.parts.recurrent.convolution import ShortConvolution, state_slot, weight
from models.spec import Mamba


class MambaPart(nn.Module):
    """x_TD -> x_TD (arXiv 2312.00752)."""

    def __init__(self, name: str, spec: Mamba, dim: int, backend: Backend) -> None:
        super().__init__()
        i, n, r = spec.inner, spec.state, spec.rank
        self.ops, self.sizes = backend.ops, (r, n, n)
        self.into = backend.linear(f"{name}.into", dim, (i, i), bias=spec.bias)
        self.conv = ShortConvolution(f"{name}.conv", i, spec.kernel, spec.conv_bias, backend)
        self.choose = backend.linear(f"{name}.choose", i, self.sizes)
        self.step_norm, self.in_norm, self.out_norm = (norm(spec.norm, size, backend.ops) for size in self.sizes)
        self.step = backend.linear(f"{name}.step", r, (i,), bias=True)
        self.decay, self.skip = weight(i, n), weight(i)
        self.state = backend.recurrence(name, state_slot(spec))
        self.out = backend.linear(f"{name}.out", i, (dim,), bias=spec.bias, split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        x_TI, gate_TI = self.into(x_TD).chunk(2, -1)
        x_TI = self.ops.activate(self.conv(x_TI, batch), "silu")
        step_TR, b_TN, c_TN = self.choose(x_TI).split(self.sizes, -1)
        step_TI = self.ops.softplus(self.step(self.step_norm(step_TR)), None, 0.0, None)
        y_TI = self.state.scan(x_TI, step_TI, self.decay, self.in_norm(b_TN), self.out_norm(c_TN), batch)
        y_TI = self.ops.product(self.ops.add_scaled(y_TI, x_TI, self.skip), gate_TI, "silu")
        return self.out(y_TI.to(x_TD.dtype))
