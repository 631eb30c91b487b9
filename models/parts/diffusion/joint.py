"""Attention of a picture and a text to both. N pictures, M rows of one of them, H heads, K head dim, D model."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.batch import Backend
from models.parts.norms import head_norm
from models.spec import Norm, QKNorm

Heads = tuple[Tensor, Tensor, Tensor]  # q, k and v, [N, M, H, K] each


class Stream(nn.Module):
    """The matrices of one of the two."""

    def __init__(self, name: str, sizes: tuple[int, int, int], qk_norm: Norm | None, backend: Backend, *, out: bool = True) -> None:
        """`sizes`: D, H and K. `out`: whether what is found is used."""
        super().__init__()
        dim, self.heads, head_dim = sizes
        width = self.heads * head_dim
        self.qkv = backend.linear(f"{name}.qkv", dim, (width,) * 3, bias=True)
        norms = None if qk_norm is None else QKNorm(norm=qk_norm)
        self.q_norm = None if norms is None else head_norm(norms, self.heads, head_dim, backend.ops)
        self.k_norm = None if norms is None else head_norm(norms, self.heads, head_dim, backend.ops)
        self.out = backend.linear(f"{name}.out", width, (dim,), bias=True, split="row") if out else None

    def split(self, x_TD: Tensor, count: int) -> Heads:
        """`count`: N."""
        q_THK, k_THK, v_THK = self.qkv(x_TD).unflatten(1, (3, self.heads, -1)).unbind(1)
        if self.q_norm is not None and self.k_norm is not None:
            q_THK, k_THK = self.q_norm(q_THK), self.k_norm(k_THK)
        return q_THK.unflatten(0, (count, -1)), k_THK.unflatten(0, (count, -1)), v_THK.unflatten(0, (count, -1))


def look(streams: Sequence[Heads], rotary: tuple[Tensor, Tensor] | None) -> list[Tensor]:
    """[T, H * K] of each stream: every row looks at those of all. `rotary`: cosines and sines [M, K], of the rows of all streams in their
    order."""
    q, k, v = (torch.cat(parts, 1) for parts in zip(*streams, strict=True))
    if rotary is not None:
        q, k = turned(q, *rotary), turned(k, *rotary)
    out = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)).transpose(1, 2).flatten(2)
    return [part.flatten(0, 1) for part in out.split([stream[0].shape[1] for stream in streams], 1)]


def turned(x_NMHK: Tensor, cos_MK: Tensor, sin_MK: Tensor) -> Tensor:
    """Neighbours rotated together, in float32."""
    a, b = x_NMHK.float().unflatten(-1, (-1, 2)).unbind(-1)
    other = torch.stack([-b, a], -1).flatten(-2)
    return (x_NMHK.float() * cos_MK[:, None] + other * sin_MK[:, None]).to(x_NMHK.dtype)


def rotary_table(places_MA: Tensor, dims: Sequence[int], base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines, float32 [M, K], each frequency's twice in a row: those of every coordinate behind one another."""
    frequencies = [base ** -(torch.arange(0, dim, 2, dtype=torch.float64) / dim) for dim in dims]
    angles = [torch.outer(places_MA[:, axis].double(), each) for axis, each in enumerate(frequencies)]
    angles_MK = torch.cat(angles, 1).repeat_interleave(2, 1)
    return angles_MK.cos().float(), angles_MK.sin().float()
