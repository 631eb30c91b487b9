"""RMSNorm and LayerNorm over the last axis. The weights stay float32 whatever the activations are."""

import torch
from torch import Tensor, nn

from models.ops import Ops
from models.spec import Norm, QKNorm


class RMSNorm(nn.Module):
    """x_TD -> x_TD, or per head x_THK -> x_THK with a weight of K or none."""

    def __init__(self, spec: Norm, dim: int, ops: Ops) -> None:
        super().__init__()
        self.eps, self.ops = spec.eps, ops
        weighted = spec.kind == "rms"
        self.weight = nn.Parameter(torch.empty(dim, dtype=torch.float32), requires_grad=False) if weighted else None

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
    return LayerNorm(spec, dim, ops) if spec.kind.startswith("layer") else RMSNorm(spec, dim, ops)


def head_norm(spec: QKNorm, heads: int, head_dim: int, ops: Ops) -> nn.Module:
    """For queries or for keys: x_THK -> x_THK; over a whole projection its rows: x_TO -> x_TO."""
    match spec.over:
        case "head":
            return norm(spec.norm, head_dim, ops)
        case "projection":
            return norm(spec.norm, heads * head_dim, ops)
        case "each_head":
            return EachHeadNorm(spec.norm, heads, head_dim, ops)


class EachHeadNorm(nn.Module):
    """Over K, with a weight_HK: each head its own."""

    def __init__(self, spec: Norm, heads: int, head_dim: int, ops: Ops) -> None:
        super().__init__()
        self.spec, self.ops = spec, ops
        self.weight = nn.Parameter(torch.empty(heads, head_dim, dtype=torch.float32), requires_grad=False)

    def forward(self, x_THK: Tensor) -> Tensor:
        if self.spec.kind == "rms":
            return self.ops.rms_norm(x_THK, self.weight, self.spec.eps)
        return self.ops.layer_norm(x_THK, self.weight, None, self.spec.eps)
