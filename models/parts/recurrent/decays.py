"""How the states of linear attention decay. H heads, K key dimension, X numbers that a token's row chooses the decay by."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.batch import Backend
from models.ops import Ops, wide
from models.parts.recurrent.convolution import weight
from models.spec import ChannelDecay, FixedDecay, HeadDecay, LinearAttention


def decay_inputs(spec: LinearAttention) -> int:
    """X."""
    match spec.decay:
        case HeadDecay():
            return spec.heads
        case ChannelDecay(rank=rank):
            return rank
        case FixedDecay():
            return 0


def decay_part(name: str, spec: LinearAttention, backend: Backend) -> nn.Module:
    """x_TX -> float32 decay_THK, the logarithm, 0 at most; K is 1 where all channels of a head decay alike."""
    match spec.decay:
        case HeadDecay():
            return HeadDecays(spec.heads, backend.ops)
        case ChannelDecay(rank=rank):
            return ChannelDecays(name, rank, spec, backend)
        case FixedDecay(first=first):
            return FixedDecays(first, spec.heads)


class HeadDecays(nn.Module):
    """`rate` is negative."""

    def __init__(self, heads: int, ops: Ops) -> None:
        super().__init__()
        self.ops = ops
        self.rate, self.bias = weight(heads), weight(heads)

    def forward(self, x_TH: Tensor) -> Tensor:
        step_TH = self.ops.softplus(x_TH, self.bias, 0.0, None)
        return self.ops.product(step_TH, self.rate.expand_as(step_TH), None)[..., None]


class ChannelDecays(nn.Module):
    def __init__(self, name: str, rank: int, spec: LinearAttention, backend: Backend) -> None:
        super().__init__()
        self.up = backend.linear(f"{name}.up", rank, (spec.heads * spec.key_dim,))
        self.rate, self.bias = weight(spec.heads), weight(spec.heads * spec.key_dim)

    def forward(self, x_TX: Tensor) -> Tensor:
        x_TO = F.softplus(wide(self.up(x_TX)) + self.bias)
        return self.rate[:, None] * x_TO.unflatten(1, (len(self.rate), -1))


class FixedDecays(nn.Module):
    log_H1: Tensor

    def __init__(self, first: float, heads: int) -> None:
        super().__init__()
        kept_H = 1 - 2.0 ** (-first - torch.arange(heads, dtype=torch.float64))
        self.register_buffer("log_H1", kept_H.log().float()[:, None], persistent=False)

    def forward(self, x_TX: Tensor) -> Tensor:
        return self.log_H1.expand(len(x_TX), -1, -1)
