"""Mixes of a token's row with the one before it. C channels, N mixes."""

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.recurrent.convolution import weight
from models.spec import Slot


class TokenShiftPart(nn.Module):
    """x_TC -> y_NTC: x + (before - x) * mix (Peng et al. 2023, arXiv 2305.13048), where nothing comes before the first token."""

    before_CW: Tensor

    def __init__(self, name: str, channels: int, mixes: int, backend: Backend) -> None:
        super().__init__()
        self.mix = weight(mixes * channels)
        self.register_buffer("before_CW", torch.tensor([1.0, 0.0]).expand(channels, 2), persistent=False)
        self.state = backend.recurrence(name, Slot(shape=(channels, 1)))

    def forward(self, x_TC: Tensor, batch: Batch) -> Tensor:
        step_TC = self.state.convolve(x_TC, self.before_CW.to(x_TC.dtype), None, batch) - x_TC
        return x_TC + step_TC * self.mix.to(x_TC.dtype).view(-1, 1, x_TC.shape[1])
