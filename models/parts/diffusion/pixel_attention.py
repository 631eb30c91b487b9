"""Attention between the pixels of a picture. N pictures, C channels, H high, W wide; T pixels of all."""

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.attention import AttentionPart, Positions
from models.parts.diffusion.group_norm import GroupNorm
from models.spec import Attention, Full


def of_pictures(count: int, rows: int, device: torch.device) -> Batch:
    """So many sequences of so many rows, nothing cached."""
    positions_T = torch.arange(rows, device=device).repeat(count)
    starts_S1 = torch.arange(0, (count + 1) * rows, rows, dtype=torch.int32, device=device)
    return Batch(positions_T, starts_S1, torch.zeros(count, dtype=torch.int32, device=device))


class PixelAttention(nn.Module):
    """x_NCHW -> x_NCHW: x + attention(norm(x)), with one head as wide as there are channels."""

    def __init__(self, name: str, channels: int, groups: int, eps: float, backend: Backend) -> None:
        super().__init__()
        spec = Attention(heads=1, kv_heads=1, head_dim=channels, mask=Full(), bias=True, out_bias=True)
        self.group_norm = GroupNorm(groups, channels, eps)
        self.attention = AttentionPart(f"{name}.attention", spec, channels, backend, Positions())

    def forward(self, x_NCHW: Tensor) -> Tensor:
        count, _, high, wide = x_NCHW.shape
        rows_TC = self.group_norm(x_NCHW).flatten(2).transpose(1, 2).flatten(0, 1)
        seen_TC = self.attention(rows_TC, of_pictures(count, high * wide, x_NCHW.device))
        return x_NCHW + seen_TC.view(count, high, wide, -1).permute(0, 3, 1, 2)
