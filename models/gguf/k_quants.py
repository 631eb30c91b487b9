"""GGUF's blocks of 256 numbers (llama.cpp's "k-quants", and IQ4_XS): float16 scales of the block, and small integers by which they
are multiplied for each 16 or 32 numbers in a row. The products are float32, and exact.

Two bits of four numbers in a byte, four bits of two: of 32 bytes first all lowest ones, then all next."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.quant import Grouped

BLOCK = 256
# what a half byte means in IQ4_NL and IQ4_XS, plus 128: from 1 to 241
IQ4 = np.array([1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241], np.uint8)


def looked_up(table: NDArray[np.uint8], q_OI: Tensor) -> Tensor:
    return torch.from_numpy(np.take(table, q_OI.numpy()))


def _q2_k(blocks_ONB: Tensor) -> Grouped:
    """16 bytes of scale and low of each 16, 64 bytes of numbers, float16 d, float16 of the lows."""
    small = blocks_ONB[..., :16]
    scale, low = _halves(blocks_ONB, 80)
    return _grouped(4, _spread(blocks_ONB[..., 16:80], 2), scale * (small & 15), -low * (small >> 4))


def _q3_k(blocks_ONB: Tensor) -> Grouped:
    """32 bytes of third bits, 64 of numbers, 12 of scales, float16 d; from -4 to 3."""
    third = torch.stack([blocks_ONB[..., :32] >> bit & 1 for bit in range(8)], -2).flatten(-2)
    q = _spread(blocks_ONB[..., 32:96], 2).bitwise_or_(third.bitwise_left_shift_(2))
    scale = _half(blocks_ONB, 108)[..., None] * _sixes(blocks_ONB[..., 96:108])
    return _grouped(4, q, scale, -4 * scale)


def _sixes(packed_ONB: Tensor) -> Tensor:
    """Sixteen scales of six bits, from -32: eight bytes of their lowest four bits, four of the others."""
    upper = torch.cat([packed_ONB[..., 8:12] >> shift & 3 for shift in (0, 2, 4, 6)], -1)
    lower = torch.cat([packed_ONB[..., :8] & 15, packed_ONB[..., :8] >> 4], -1)
    return (lower | upper << 4).float() - 32


def _q4_k(blocks_ONB: Tensor) -> Grouped:
    """float16 d and of the lows, 12 bytes of scales and lows, 128 of numbers."""
    return _grouped(4, _spread(blocks_ONB[..., 16:], 4), *_scales_and_lows(blocks_ONB))


def _q5_k(blocks_ONB: Tensor) -> Grouped:
    """Q4_K with 32 bytes of fifth bits before the numbers."""
    fifth = torch.stack([blocks_ONB[..., 16:48] >> bit & 1 for bit in range(8)], -2).flatten(-2)
    q = _spread(blocks_ONB[..., 48:], 4).bitwise_or_(fifth.bitwise_left_shift_(4))
    return _grouped(8, q, *_scales_and_lows(blocks_ONB))


def _scales_and_lows(blocks_ONB: Tensor) -> tuple[Tensor, Tensor]:
    """Of eight groups of 32, six bits each: of the last four the upper two lie above those of the first."""
    a, b, c = blocks_ONB[..., 4:16].split(4, -1)
    scale, low = _halves(blocks_ONB, 0)
    scales = torch.cat([a & 63, (c & 15) | (a >> 6 << 4)], -1)
    lows = torch.cat([b & 63, (c >> 4) | (b >> 6 << 4)], -1)
    return scale * scales, -low * lows


def _q6_k(blocks_ONB: Tensor) -> Grouped:
    """128 bytes of the lowest four bits, by 64 numbers, 64 of the upper two, 16 signed scales, float16 d; from -32 to 31."""
    lower = blocks_ONB[..., :128].unflatten(-1, (2, 1, 64))
    lower = torch.cat([lower & 15, lower >> 4], -2).flatten(-3)
    q = lower.bitwise_or_(_spread(blocks_ONB[..., 128:192], 2).bitwise_left_shift_(4))
    scale = _half(blocks_ONB, 208)[..., None] * blocks_ONB[..., 192:208].view(torch.int8)
    return _grouped(8, q, scale, -32 * scale)


def _iq4_xs(blocks_ONB: Tensor) -> Grouped:
    """float16 d, 2 bytes of the upper two bits of eight scales, 4 of their lower four, 128 of places in the table, by 32 numbers."""
    upper = torch.cat([blocks_ONB[..., 2:4, None] >> shift & 3 for shift in (0, 2, 4, 6)], -1).flatten(-2)
    lower = torch.stack([blocks_ONB[..., 4:8] & 15, blocks_ONB[..., 4:8] >> 4], -1).flatten(-2)
    scale = _half(blocks_ONB, 0)[..., None] * ((lower | upper << 4).float() - 32)
    packed = blocks_ONB[..., 8:].unflatten(-1, (8, 1, 16))
    q = looked_up(IQ4, torch.cat([packed & 15, packed >> 4], -2).flatten(-3))
    return _grouped(8, q, scale, -128 * scale)


BLOCKS = {"Q2_K": _q2_k, "Q3_K": _q3_k, "Q4_K": _q4_k, "Q5_K": _q5_k, "Q6_K": _q6_k, "IQ4_XS": _iq4_xs}


def _half(blocks_ONB: Tensor, at: int) -> Tensor:
    return blocks_ONB[..., at : at + 2].contiguous().view(torch.float16).squeeze(-1).float()


def _halves(blocks_ONB: Tensor, at: int) -> tuple[Tensor, Tensor]:
    return _half(blocks_ONB, at)[..., None], _half(blocks_ONB, at + 2)[..., None]


def _spread(packed_ONB: Tensor, bits: int) -> Tensor:
    """Numbers of 2 or 4 bits, by 32 bytes: [O, N, I / N]"""
    packed = packed_ONB.unflatten(-1, (-1, 1, 32))
    mask = 2**bits - 1
    return torch.cat([packed >> shift & mask for shift in range(0, 8, bits)], -2).flatten(-3)


def _grouped(bits: int, q_ONI: Tensor, scale_ONG: Tensor, low_ONG: Tensor) -> Grouped:
    return Grouped(bits, q_ONI.flatten(1), scale_ONG.flatten(1), low_ONG.flatten(1))
