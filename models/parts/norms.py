"""RMSNorm and LayerNorm over the last axis. The weights stay float32 whatever the activations are."""

import torch
from torch import Tensor, nn

from models.ops import Ops
from models.spec import Norm


class RMSNorm(nn.Module):
    """x_TD -> x_TD, or per head x_THK -> x_THK with a weight of K."""

    def __init__(self, spec: Norm, dim: int, ops: Ops) -> None:
        super().__init__()
        self.eps, self.ops = spec.eps, ops
        self.weight = nn.Parameter(torch.empty(dim, dtype=torch.float32), requires_grad=False)

    def forward(self, x_TD: Tensor) -> Tensor:
        return self.ops.rms_norm(x_TD, self.weight, self.eps)


class LayerNorm(nn.Module):
    """x_TD -> x_TD"""

    def __init__(self, spec: Norm, dim: int, ops: Ops) -> None:
        super().__init__()
        self.eps, self.ops = spec.eps, ops
        self.weight = nn.Parameter(torch.empty(dim, dtype=torch.float32), requires_grad=False)
        biased = spec.kind == "layer"
        self.bias = nn.Parameter(torch.empty(dim, dtype=torch.float32), requires_grad=False) if biased else None

    def forward(self, x_TD: Tensor) -> Tensor:
        return self.ops.layer_norm(x_TD, self.weight, self.bias, self.eps)


def norm(spec: Norm | None, dim: int, ops: Ops) -> nn.Module:
    """None: x stays as it is."""
    if spec is None:
        return nn.Identity()
    return RMSNorm(spec, dim, ops) if spec.kind == "rms" else LayerNorm(spec, dim, ops)
