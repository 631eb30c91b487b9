"""MXFP4 (OCP Microscaling Formats 1.0) as gpt-oss has it: `*_blocks` uint8 [E, O, I / 32, 16], two numbers a byte, the low half
first, and `*_scales` uint8 [E, O, I / 32]: powers of two, 127 for 1. Beside its plain form a matrix lies the other way round."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.formats.packed import Parts
from models.hf import Config
from models.quant import Grouped, Matrix, Stack, Weight, dense

_MOST = 128 + 15  # of a scale
_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


@dataclass(frozen=True)
class Mxfp4:
    mains: tuple[str, ...] = ("_blocks",)
    parts: tuple[str, ...] = ("_scales",)

    def weight(self, parts: Parts) -> Weight:
        blocks_EOGB = parts.need("_blocks", (torch.uint8,), -1, -1, -1, 16)
        scales_EOG = parts.need("_scales", (torch.uint8,), *blocks_EOGB.shape[:3])
        experts, outputs, groups = scales_EOG.shape
        stored = Stack((experts, outputs, 32 * groups), lambda e: matrix(blocks_EOGB[e], scales_EOG[e]))
        return Stack((experts, 32 * groups, outputs), lambda e: dense(stored.of(e)).mT, flipped=stored)


def matrix(blocks_OGB: Tensor, scales_OG: Tensor) -> Matrix:
    """In groups of 8 bits, exactly; dense where a scale lies beyond float16, which kernels keep."""
    if int(scales_OG.max()) > _MOST:
        return numbers(blocks_OGB, scales_OG)
    scale_OG = torch.ldexp(torch.ones(scales_OG.shape), scales_OG.int() - 128)
    return Grouped(8, doubles(blocks_OGB).flatten(1), scale_OG, scale_OG * -128)


def numbers(blocks_EOGB: Tensor, scales_EOG: Tensor) -> Tensor:
    """bf16 [E, O, I], or of one expert: exact, as four bits and a power of two need no more."""
    return torch.ldexp(pairs(blocks_EOGB), scales_EOG.int()[..., None] - 127).flatten(-2)


def pairs(bytes_NB: Tensor) -> Tensor:
    """bf16 [..., 2 B]: two numbers of four bits from each byte, the low half first."""
    return (doubles(bytes_NB).bfloat16() - 128) / 2


def doubles(bytes_NB: Tensor) -> Tensor:
    """uint8 [..., 2 B]: twice the numbers, which makes them whole, plus 128."""
    table = torch.tensor([128 + sign * int(2 * value) for sign in (1, -1) for value in _E2M1], dtype=torch.uint8)
    return torch.stack([table[(bytes_NB & 15).int()], table[(bytes_NB >> 4).int()]], -1).flatten(-2)


def read(config: Config) -> Mxfp4:
    config.ignore("modules_to_not_convert", "dequantize")
    return Mxfp4()
