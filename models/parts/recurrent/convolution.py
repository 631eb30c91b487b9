"""Causal convolutions of a few tokens, a channel's own each, and what state-space parts share."""

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.spec import Layer, Mixer, Slot, caches


class ShortConvolution(nn.Module):
    """x_TC -> y_TC: each channel's own, causal."""

    def __init__(self, name: str, channels: int, kernel: int, bias: bool, backend: Backend) -> None:
        super().__init__()
        self.weight, self.bias = weight(channels, kernel), weight(channels) if bias else None
        self.state = backend.recurrence(name, Slot(shape=(channels, kernel - 1)))

    def forward(self, x_TC: Tensor, batch: Batch) -> Tensor:
        return self.state.convolve(x_TC, self.weight.to(x_TC.dtype), None if self.bias is None else self.bias.to(x_TC.dtype), batch)


def weight(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape, dtype=torch.float32), requires_grad=False)


def state_slot(spec: Mixer) -> Slot:
    """Of the recurrence, behind that of the convolution."""
    return next(cache for cache in caches(Layer(mixer=spec, ffn=None)) if isinstance(cache, Slot) and cache.wide)
