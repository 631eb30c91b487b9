"""Rows of numbers in place of tokens. F frames of C bins; I inputs of a step, all of one length."""

import torch.nn.functional as F
from torch import Tensor, nn

from models.batch import Backend
from models.spec import FRAME_TAPS, Frames, Tower


class FrameEmbedding(nn.Module):
    """read_FC, the frames of all inputs -> x_TD, T being F / 2."""

    def __init__(self, name: str, spec: Frames, tower: Tower, backend: Backend) -> None:
        super().__init__()
        self.length, self.dtype, self.activate = 2 * tower.context, backend.dtype, backend.ops.activate
        self.near = backend.linear(f"{name}.near", FRAME_TAPS * spec.bins, (tower.dim,), bias=True)
        self.halve = backend.linear(f"{name}.halve", FRAME_TAPS * tower.dim, (tower.dim,), bias=True)

    def forward(self, read_FC: Tensor) -> Tensor:
        x_IFC = read_FC.to(self.dtype).unflatten(0, (-1, self.length))
        x_IFD = self.activate(self.near(_beside(x_IFC, 1)), "gelu").unflatten(0, (len(x_IFC), -1))
        return self.activate(self.halve(_beside(x_IFD, 2)), "gelu")


def _beside(x_IFC: Tensor, stride: int) -> Tensor:
    """[I * F / stride, FRAME_TAPS * C]: every frame, or every second one, between those before and behind it; zeros at the ends."""
    return F.pad(x_IFC, (0, 0, 1, 1)).unfold(1, FRAME_TAPS, stride).transpose(2, 3).flatten(2).flatten(0, 1)
