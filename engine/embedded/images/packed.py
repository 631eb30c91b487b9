"""Convolutions whose weights lie as oneDNN reads them. PyTorch's own bring them into that order at every call, which for the small pictures
and wide weights in the middle of a UNet takes longer than to convolve. N pictures, C channels, H high, W wide; O channels that come out."""

from typing import Any

import torch
from torch import Tensor, nn

from models.parts.diffusion.convolution import Convolution

UNDILATED, UNGROUPED = (1, 1), 1


class PackedConvolution(nn.Module):
    """x_NCHW -> y_NOHW in float32 on a CPU, as the Convolution that it is made of: what is said in weights it keeps for itself."""

    def __init__(self, plain: Convolution) -> None:
        super().__init__()
        self.padding, self.stride, self.bias = (plain.padding,) * 2, (plain.stride,) * 2, plain.bias
        reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight  # pyright: ignore[reportAttributeAccessIssue]
        self.packed: Tensor = reorder(plain.weight.to_mkldnn(), self.padding, self.stride, UNDILATED, UNGROUPED)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        shape = (self.padding, self.stride, UNDILATED, UNGROUPED)
        return torch.ops.mkldnn._convolution_pointwise(x_NCHW, self.packed, self.bias, *shape, "none", [], "")


def pack_convolutions(model: nn.Module) -> None:
    """In place, where there is oneDNN."""
    if not torch.backends.mkldnn.is_available():
        return
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Convolution) and child.weight.dtype == torch.float32 and child.weight.device.type == "cpu":
                setattr(parent, name, PackedConvolution(child))
