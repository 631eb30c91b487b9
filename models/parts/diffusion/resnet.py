"""Residual blocks of convolutions (He et al. 2015, arXiv 1512.03385, as in Ho et al. 2020, arXiv 2006.11239), and what makes a picture
smaller and larger between them. Names are diffusers'."""

import torch.nn.functional as F
from torch import Tensor, nn

from models.batch import Backend
from models.parts.diffusion.convolution import Convolution, Upsample
from models.parts.diffusion.group_norm import GroupNorm

KERNEL = 3


class Resnet(nn.Module):
    """x_NCHW -> y_NOHW: x + conv(silu(norm(conv(silu(norm(x)))))); x through a matrix where it has another number of channels. `told`: the
    name, and the columns of a time's embedding [N, D], which is added between the convolutions."""

    def __init__(self, channels: tuple[int, int], groups: int, eps: float, backend: Backend, told: tuple[str, int] | None = None) -> None:
        super().__init__()
        inputs, outputs = channels
        self.ops = backend.ops
        self.norm1, self.norm2 = GroupNorm(groups, inputs, eps), GroupNorm(groups, outputs, eps)
        self.conv1 = Convolution(channels, KERNEL, backend.dtype)
        self.conv2 = Convolution((outputs, outputs), KERNEL, backend.dtype)
        self.time_emb_proj = backend.linear(f"{told[0]}.time_emb_proj", told[1], (outputs,), bias=True) if told else None
        self.conv_shortcut = Convolution(channels, 1, backend.dtype) if inputs != outputs else None

    def forward(self, x_NCHW: Tensor, time_ND: Tensor | None = None) -> Tensor:
        y_NOHW = self.conv1(self.ops.activate(self.norm1(x_NCHW), "silu"))
        if self.time_emb_proj is not None:
            y_NOHW = y_NOHW + self.time_emb_proj(time_ND)[:, :, None, None]
        y_NOHW = self.conv2(self.ops.activate(self.norm2(y_NOHW), "silu"))
        return y_NOHW + (x_NCHW if self.conv_shortcut is None else self.conv_shortcut(x_NCHW))


class Halved(nn.Module):
    """Half as wide and high, by a convolution that looks at a pixel and those `around` it, or to its right and below."""

    def __init__(self, channels: int, backend: Backend, *, around: bool) -> None:
        super().__init__()
        self.zeros = (1, 1, 1, 1) if around else (0, 1, 0, 1)
        self.conv = Convolution((channels, channels), KERNEL, backend.dtype, stride=2, padding=0)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.conv(F.pad(x_NCHW, self.zeros))


class Doubled(nn.Module):
    """Twice as wide and high, then a convolution."""

    def __init__(self, channels: int, backend: Backend) -> None:
        super().__init__()
        self.larger = Upsample(2)
        self.conv = Convolution((channels, channels), KERNEL, backend.dtype)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.conv(self.larger(x_NCHW))
