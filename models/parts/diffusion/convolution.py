"""Convolutions over pictures. N pictures, C channels, H high, W wide; O channels that come out, K the kernel's side."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.quant import Weight, dense


class Convolution(nn.Module):
    """x_NCHW -> y_NOHW, a leaf that owns weight_OCKK. `padding`: rows of zeros around the picture; None: so that it stays as large where
    `stride` is 1."""

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self, channels: tuple[int, int], kernel: int, dtype: torch.dtype, *, stride: int = 1, padding: int | None = None, bias: bool = True
    ) -> None:
        super().__init__()
        inputs, outputs = channels
        self.stride, self.padding = stride, kernel // 2 if padding is None else padding
        self.fields = {"weight": (outputs, inputs, kernel, kernel)} | ({"bias": (outputs,)} if bias else {})
        self.register_buffer("weight", torch.empty(outputs, inputs, kernel, kernel, dtype=dtype))
        self.register_buffer("bias", torch.empty(outputs, dtype=dtype) if bias else None)

    def assign(self, field: str, value: Weight) -> None:
        self.get_buffer(field).copy_(dense(value))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return F.conv2d(x_NCHW, self.weight, self.bias, self.stride, self.padding)


class Upsample(nn.Module):
    """Each pixel becomes `factor` by `factor` of its kind."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return F.interpolate(x_NCHW, scale_factor=float(self.factor), mode="nearest")
