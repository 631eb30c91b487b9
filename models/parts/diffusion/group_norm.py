"""Group norm over pictures (Wu & He 2018, arXiv 1803.08494)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.ops import wide


class GroupNorm(nn.Module):
    """x_NCHW -> x_NCHW: each of `groups` of channels has mean 0 and variance 1, in float32, then weight and bias for each channel."""

    def __init__(self, groups: int, channels: int, eps: float) -> None:
        super().__init__()
        self.groups, self.eps = groups, eps
        self.weight = nn.Parameter(torch.empty(channels, dtype=torch.float32), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(channels, dtype=torch.float32), requires_grad=False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return F.group_norm(wide(x_NCHW), self.groups, self.weight, self.bias, self.eps).to(x_NCHW.dtype)
