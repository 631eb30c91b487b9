"""Weights in groups of small integers: the value that a 4- or 8-bit checkpoint is, before any kernel packs it.

GGUF's blocks, matrices packed by GPTQ or AWQ and the result of `--quantize` all have this one form:
    w[o, i] = scale[o, i // S] * q[o, i] + low[o, i // S]
with q unsigned (0..15 or 0..255) and S inputs in a group, 32 or 16. Q8_0's signed q becomes q + 128 with low = -128 * scale, exactly.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

GROUP = 32


class WeightsError(ValueError):
    """The checkpoint does not hold what the architecture needs, or holds more, or parts that do not fit together."""


@dataclass(frozen=True, eq=False)
class Grouped:
    """bits 4 or 8; q_OI uint8, one number per byte; scale_OG and low_OG float16 or float32 (which kernels round to float16: by at
    most 2^-11 of either, so a weight by at most 2^-11 * (scale * q + |low|))."""

    bits: int
    q_OI: Tensor
    scale_OG: Tensor
    low_OG: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        return (self.q_OI.shape[0], self.q_OI.shape[1])

    @property
    def size(self) -> int:
        """Inputs in a group."""
        return self.q_OI.shape[1] // self.scale_OG.shape[1]

    def dequantize(self) -> Tensor:
        """float32 [O, I]"""
        q_OGS = self.q_OI.unflatten(1, (-1, self.size)).float()
        return q_OGS.mul_(self.scale_OG.float()[..., None]).add_(self.low_OG.float()[..., None]).flatten(1)

    def rows(self, index_O: Tensor) -> "Grouped":
        """The same matrix with its rows taken in another order."""
        return Grouped(self.bits, self.q_OI[index_O], self.scale_OG[index_O], self.low_OG[index_O])

    def inputs(self, index_I: Tensor) -> "Grouped":
        """The same matrix with its inputs taken in another order, whole groups of them."""
        groups = index_I[:: self.size] // self.size
        return Grouped(self.bits, self.q_OI[:, index_I], self.scale_OG[:, groups], self.low_OG[:, groups])

    def in_groups_of(self, size: int) -> "Grouped":
        """The same matrix in smaller groups."""
        times = self.size // size
        return Grouped(self.bits, self.q_OI, self.scale_OG.repeat_interleave(times, 1), self.low_OG.repeat_interleave(times, 1))


Matrix = Tensor | Grouped


@dataclass(frozen=True, eq=False)
class Stack:
    """A matrix or a bias for each of E experts, made when it is asked for: [E, O, I] or [E, O] that are never in memory all at once.
    `flipped`: the same matrices with inputs and outputs exchanged, where a file has them at hand."""

    shape: tuple[int, ...]
    of: Callable[[int], Matrix]
    flipped: "Stack | None" = None

    def dequantize(self) -> Tensor:
        return torch.stack([dense(self.of(e)) for e in range(self.shape[0])])


Weight = Matrix | Stack


def dense(weight: Weight) -> Tensor:
    """As it is, or float32 if it was not dense."""
    return weight if isinstance(weight, Tensor) else weight.dequantize()


def each(weight: Weight) -> Iterator[Matrix]:
    """The matrix of one expert after another. Raises TypeError for a matrix that knows no experts."""
    match weight:
        case Stack(shape=shape, of=of):
            yield from map(of, range(shape[0]))
        case Grouped():
            raise TypeError("a single matrix has no experts")
        case tensor:
            yield from tensor


def concatenate(weights: list[Grouped]) -> Grouped:
    """Along O. Every part keeps its values: one of 4 bits beside one of 8, or of groups of 32 beside one of 16, takes the other's form."""
    size = min(w.size for w in weights)
    alike = [w.in_groups_of(size) for w in weights]
    q, scale, low = (torch.cat([getattr(w, f) for w in alike]) for f in ("q_OI", "scale_OG", "low_OG"))
    return Grouped(max(w.bits for w in weights), q, scale, low)


def with_zeros(matrix: Matrix, rows: int) -> Matrix:
    """That many rows of zeros behind the others; of a bias numbers."""
    if isinstance(matrix, Tensor):
        return torch.cat([matrix, matrix.new_zeros(rows, *matrix.shape[1:])])
    q, scale, low = (torch.cat([t, t.new_zeros(rows, t.shape[1])]) for t in (matrix.q_OI, matrix.scale_OG, matrix.low_OG))
    return Grouped(matrix.bits, q, scale, low)


def quantize(weight_OI: Tensor, bits: int) -> Grouped:
    """Round to nearest: 4 bits between each group's minimum and maximum, 8 bits symmetric around zero."""
    w_OGS = weight_OI.float().unflatten(1, (-1, GROUP))
    if bits == 8:
        scale = (w_OGS.abs().amax(-1) / 127).half()
        low = scale * -128
        q = torch.round(w_OGS / _safe(scale)).clamp(-128, 127) + 128
    else:
        low = w_OGS.amin(-1).half()
        scale = ((w_OGS.amax(-1) - low.float()) / 15).half()
        q = torch.round((w_OGS - low.float()[..., None]) / _safe(scale)).clamp(0, 15)
    return Grouped(bits, q.to(torch.uint8).flatten(1), scale, low)


def _safe(scale_OG: Tensor) -> Tensor:
    return torch.where(scale_OG == 0, 1, scale_OG).float()[..., None]
