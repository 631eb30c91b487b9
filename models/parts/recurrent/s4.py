"""Diagonal linear state spaces. C channels, as many as the model has; N complex numbers of state for each."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.ops import wide
from models.parts.recurrent.convolution import state_slot, weight
from models.spec import S4


class S4Part(nn.Module):
    """x_TD -> x_TD: S4D (arXiv 2206.11893). `decay` is negative, real part of a rate whose imaginary part is `frequency`; `read_CN2`
    holds real and imaginary parts of C, which B is multiplied into."""

    def __init__(self, name: str, spec: S4, dim: int, backend: Backend) -> None:
        super().__init__()
        c, n = spec.channels, spec.state
        self.decay, self.frequency, self.read = weight(c, n), weight(c, n), weight(c, n, 2)
        self.step, self.skip = weight(c), weight(c)
        self.state = backend.recurrence(name, state_slot(spec))
        self.out = backend.linear(f"{name}.out", c, (dim, dim), bias=True)

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        rates_CN, read_CN = torch.complex(self.decay, self.frequency), torch.view_as_complex(self.read)
        poles_CN, residues_CN = (t.to(wide(x_TD).dtype.to_complex()) for t in discretize(rates_CN, read_CN, self.step))
        y_TC = self.state.diagonal(x_TD, poles_CN, residues_CN, batch) + self.skip * x_TD
        y_TD, gate_TD = self.out(F.gelu(y_TC).to(x_TD.dtype)).chunk(2, -1)
        return y_TD * gate_TD.sigmoid()


def discretize(rates_CN: Tensor, read_CN: Tensor, step_C: Tensor) -> tuple[Tensor, Tensor]:
    """Poles and residues, complex128, of inputs that are held for a step (zero-order hold): exp(A * step), and C times what one
    step's input adds, (exp(A * step) - 1) / A. In double precision, as the difference is small where steps are."""
    rates_CN = rates_CN.to(torch.complex128)
    poles_CN = (rates_CN * step_C[:, None]).exp()
    return poles_CN, read_CN * (poles_CN - 1) / rates_CN
