"""Weights in the order in which linear.h reads them, whatever the processor: sixteen outputs at a time."""

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.embedded.kernels.library import GROUP, ByteRange
from models.quant import Grouped, Weight

LANES = 16
ROUNDING = 2  # at most, of four numbers
BF16 = 16  # the format's number; the other two are called by their bits


@dataclass(frozen=True, eq=False)
class Packed:
    """format 4, 8 or 16; `outputs` counts the padding up to a multiple of 16."""

    format: int
    inputs: int
    outputs: int
    data: Tensor
    scales: Tensor | None


@dataclass(frozen=True, eq=False)
class Bytes:
    """What bytes.h multiplies: signed `data` in the order of format 8, float32 `scales` and int32 `starts` [O/16, G, 16], and `balance`
    [I], by which each input is multiplied before it is rounded. `outputs` counts the padding."""

    inputs: int
    outputs: int
    data: Tensor
    scales: Tensor
    starts: Tensor
    balance: Tensor

    @property
    def row_bytes(self) -> int:
        """Of one row of activations."""
        groups = self.inputs // GROUP
        return -(-(2 * self.inputs + 4 * groups + -(-groups // 8) * 8) // 64) * 64


def fits(inputs: int) -> bool:
    return inputs % GROUP == 0


def pad_inputs(weight: Weight) -> Weight:
    """With columns of zeros up to a multiple of GROUP."""
    if isinstance(weight, Grouped) or fits(weight.shape[1]):
        return weight
    return torch.cat([weight, weight.new_zeros(len(weight), -weight.shape[1] % GROUP)], 1)


def pack(weight: Weight) -> Packed:
    if not isinstance(weight, Grouped):
        return _pack_bf16(weight)
    return _pack_grouped(weight) if weight.bits == 4 or _symmetric(weight) else _pack_bf16(weight.dequantize())


def pack_bytes(weight_OI: Tensor, allowed: ByteRange) -> Bytes:
    """Between columns and inputs the square root of a column's root mean square is moved, so that neither weights nor activations
    bear all of the range (after Xiao et al. 2022, arXiv 2211.10438, who look at activations too)."""
    root_I = weight_OI.float().square().mean(0).sqrt()
    balance_I = torch.where(root_I > 0, root_I, 1).sqrt()
    w_OGS = (weight_OI.float() / balance_I).unflatten(1, (-1, GROUP))
    scale_OG = torch.maximum(w_OGS.abs().amax(-1) / 127, _fours(w_OGS) / (allowed.top_four - ROUNDING))
    q_OGS = torch.round(w_OGS / torch.where(scale_OG > 0, scale_OG, 1)[..., None])
    return Bytes(
        inputs=weight_OI.shape[1],
        outputs=_up(len(weight_OI)),
        data=_by_quads(q_OGS.to(torch.int8).flatten(1)).contiguous(),
        scales=_by_block(scale_OG).contiguous(),
        starts=_by_block(-allowed.top_activation * q_OGS.sum(-1).int()).contiguous(),
        balance=balance_I,
    )


def _fours(w_OGS: Tensor) -> Tensor:
    """[O, G]: the largest sum of one sign among those four that dot_avx2.h adds up: of two neighbouring quads the same half."""
    w_OGP24 = w_OGS.unflatten(-1, (4, 2, 2, 2)).transpose(-3, -2).flatten(-2)  # pair of quads, half, four
    return torch.maximum(w_OGP24.relu().sum(-1), (-w_OGP24).relu().sum(-1)).flatten(-2).amax(-1)


def _symmetric(weight: Grouped) -> bool:
    """The packed 8-bit form has no low. Only a 4-bit matrix that was joined to an 8-bit one needs another than this."""
    return torch.equal(weight.low_OG, weight.scale_OG * -128)


def _pack_grouped(weight: Grouped) -> Packed:
    bits, (outputs, inputs) = weight.bits, weight.shape
    q_BGQL4 = _by_quads(weight.q_OI)
    data = (q_BGQL4[:, :, :4] | (q_BGQL4[:, :, 4:] << 4)) if bits == 4 else q_BGQL4
    scale_BGL = _by_block(weight.scale_OG.half())
    scales = torch.stack([scale_BGL, _by_block(weight.low_OG.half())], 2) if bits == 4 else scale_BGL
    return Packed(bits, inputs, _up(outputs), data.contiguous(), scales.contiguous())


def _pack_bf16(weight_OI: Tensor) -> Packed:
    outputs, inputs = weight_OI.shape
    w_BLP2 = _pad(weight_OI.to(torch.bfloat16)).view(-1, LANES, inputs // 2, 2)
    return Packed(BF16, inputs, _up(outputs), w_BLP2.transpose(1, 2).contiguous(), None)


def _by_quads(q_OI: Tensor) -> Tensor:
    """[block, group, quad of inputs, lane, 4]"""
    return _pad(q_OI).view(-1, LANES, q_OI.shape[1] // GROUP, 8, 4).permute(0, 2, 3, 1, 4)


def _by_block(x_OG: Tensor) -> Tensor:
    return _pad(x_OG).view(-1, LANES, x_OG.shape[1]).transpose(1, 2)


def _up(outputs: int) -> int:
    return -(-outputs // LANES) * LANES


def _pad(x_OI: Tensor) -> Tensor:
    missing = _up(len(x_OI)) - len(x_OI)
    return torch.cat([x_OI, x_OI.new_zeros(missing, x_OI.shape[1])]) if missing else x_OI.contiguous()
