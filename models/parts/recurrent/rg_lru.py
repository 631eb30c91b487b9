"""Real-gated linear recurrent units. C channels; H blocks of channels, K channels of one."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.batch import Backend, Batch, HeadMatrices, LinearRows
from models.ops import wide
from models.parts.recurrent.convolution import ShortConvolution, state_slot, weight
from models.spec import RgLru

SHARPNESS = 8.0  # of the gate that lets go: "c" of equation 3


class RgLruPart(nn.Module):
    """x_TD -> x_TD: Griffin's recurrent block (arXiv 2402.19427, section 2). `gates` makes what lets in, then what lets go."""

    def __init__(self, name: str, spec: RgLru, dim: int, backend: Backend) -> None:
        super().__init__()
        c, h, k = spec.channels, spec.blocks, spec.channels // spec.blocks
        self.spec, self.ops = spec, backend.ops
        self.into = backend.linear(f"{name}.into", dim, (c, c), bias=True)
        self.conv = ShortConvolution(f"{name}.conv", c, spec.kernel, True, backend)
        self.gates = backend.per_head(f"{name}.gates", h, k, 2 * k, "each")
        self.gates_bias, self.rate = weight(h, 2 * k), weight(c)
        self.state = backend.recurrence(name, state_slot(spec))
        self.out = backend.linear(f"{name}.out", c, (dim,), bias=True, split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        beside_TC, x_TC = self.into(x_TD).chunk(2, -1)
        x_TC = self.conv(x_TC, batch)
        gates_THO = wide(cast(HeadMatrices, self.gates).each(x_TC.unflatten(1, (self.spec.blocks, -1)))) + self.gates_bias
        in_TC, go_TC = (gate.flatten(1).sigmoid() for gate in gates_THO.chunk(2, -1))
        decay_TC = -SHARPNESS * go_TC * F.softplus(self.rate)
        share_TC = torch.where(batch.positions_T[:, None] == 0, 1.0, (-torch.expm1(2 * decay_TC)).sqrt())
        ones_TC1 = torch.ones_like(decay_TC)[..., None]
        y_TC = self.state.recur(LinearRows(ones_TC1, ones_TC1, x_TC[..., None], decay_TC, share_TC * in_TC), batch)[..., 0]
        return self.out(y_TC.to(x_TD.dtype) * self.ops.activate(beside_TC, self.spec.activation))
