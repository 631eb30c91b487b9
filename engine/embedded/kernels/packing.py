"""Weights in the order in which linear.h reads them, whatever the processor: sixteen outputs at a time."""

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.embedded.kernels.library import GROUP
from models.quant import Grouped, Weight

LANES = 16
BF16 = 16  # the format's number; the other two are called by their bits


@dataclass(frozen=True, eq=False)
class Packed:
    """format 4, 8 or 16; `outputs` counts the padding up to a multiple of 16."""

    format: int
    inputs: int
    outputs: int
    data: Tensor
    scales: Tensor | None


def fits(inputs: int) -> bool:
    return inputs % GROUP == 0


def pack(weight: Weight) -> Packed:
    if not isinstance(weight, Grouped):
        return _pack_bf16(weight)
    return _pack_grouped(weight) if weight.bits == 4 or _symmetric(weight) else _pack_bf16(weight.dequantize())


def _symmetric(weight: Grouped) -> bool:
    """The packed 8-bit form has no low. Only a 4-bit matrix that was joined to an 8-bit one needs another than this."""
    return torch.equal(weight.low_OG, weight.scale_OG * -128)


def _pack_grouped(weight: Grouped) -> Packed:
    bits, (outputs, inputs) = weight.bits, weight.shape
    q_BLGQ4 = _pad(weight.q_OI).view(-1, LANES, inputs // GROUP, 8, 4)  # block, lane, group, quad of inputs
    q_BGQL4 = q_BLGQ4.permute(0, 2, 3, 1, 4)
    data = (q_BGQL4[:, :, :4] | (q_BGQL4[:, :, 4:] << 4)) if bits == 4 else q_BGQL4
    scale_BGL = _by_block(weight.scale_OG)
    scales = torch.stack([scale_BGL, _by_block(weight.low_OG)], 2) if bits == 4 else scale_BGL
    return Packed(bits, inputs, _up(outputs), data.contiguous(), scales.contiguous())


def _pack_bf16(weight_OI: Tensor) -> Packed:
    outputs, inputs = weight_OI.shape
    w_BLP2 = _pad(weight_OI.to(torch.bfloat16)).view(-1, LANES, inputs // 2, 2)
    return Packed(BF16, inputs, _up(outputs), w_BLP2.transpose(1, 2).contiguous(), None)


def _by_block(x_OG: Tensor) -> Tensor:
    return _pad(x_OG).view(-1, LANES, x_OG.shape[1]).transpose(1, 2)


def _up(outputs: int) -> int:
    return -(-outputs // LANES) * LANES


def _pad(x_OI: Tensor) -> Tensor:
    missing = _up(len(x_OI)) - len(x_OI)
    return torch.cat([x_OI, x_OI.new_zeros(missing, x_OI.shape[1])]) if missing else x_OI.contiguous()
