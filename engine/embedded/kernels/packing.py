"""Weights in the order in which linear.h reads them, whatever the processor: sixteen outputs at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from engine.embedded.kernels.library import GROUP, ByteRange
from models.quant import Grouped, Matrix, Weight, dense, each

LANES = 16
ROUNDING = 2  # at most, of four numbers
BF16, SIXTEEN, LOW_TOO = 16, 64, 128  # op.h: Format; the others are called by their bits
ROWS_AT_ONCE = 512  # what is put in order while it is in the processor's cache


@dataclass(frozen=True, eq=False)
class Packed:
    """format 4 or 8, with SIXTEEN and LOW_TOO where those apply, or BF16; `outputs` counts the padding up to a multiple of 16."""

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
    if not isinstance(weight, Tensor) or fits(weight.shape[1]):
        return weight
    return torch.cat([weight, weight.new_zeros(len(weight), -weight.shape[1] % GROUP)], 1)


def pack(weight: Weight) -> Packed:
    return _pack_grouped(weight) if isinstance(weight, Grouped) else _pack_bf16(dense(weight))


def pack_all(weights: Weight, prepare: Callable[[Matrix], Weight]) -> Packed:
    """Every expert's matrix as `prepare` makes it of a part of [E, O, I], behind one another; they must have the same shape. In bf16
    where they do not all have one format. Only one at a time is unpacked."""
    count, packed = weights.shape[0], (pack(prepare(part)) for part in each(weights))
    first = next(packed)
    data, scales = _room(count, first.data), None if first.scales is None else _room(count, first.scales)
    for e, part in enumerate(chain([first], packed)):
        if part.format != first.format:
            return pack_all(weights, lambda part: dense(prepare(part)).bfloat16())
        data[e] = part.data
        if scales is not None and part.scales is not None:
            scales[e] = part.scales
    return Packed(first.format, first.inputs, first.outputs, data, scales)


def _room(count: int, part: Tensor) -> Tensor:
    return torch.empty(count, *part.shape, dtype=part.dtype)


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
        data=_by_quads(q_OGS.to(torch.int8).flatten(1), GROUP).contiguous().view(torch.int8),
        scales=_by_block(scale_OG).contiguous(),
        starts=_by_block(-allowed.top_activation * q_OGS.sum(-1).int()).contiguous(),
        balance=balance_I,
    )


def _fours(w_OGS: Tensor) -> Tensor:
    """[O, G]: the largest sum of one sign among those four that dot_avx2.h adds up: of two neighbouring quads the same half."""
    w_OGP24 = w_OGS.unflatten(-1, (4, 2, 2, 2)).transpose(-3, -2).flatten(-2)  # pair of quads, half, four
    return torch.maximum(w_OGP24.relu().sum(-1), (-w_OGP24).relu().sum(-1)).flatten(-2).amax(-1)


def _pack_grouped(weight: Grouped) -> Packed:
    bits, size, (outputs, inputs) = weight.bits, weight.size, weight.shape
    shift = _shift(weight) if bits == 8 else 0
    low_too = bits == 4 or shift is None
    data = torch.empty(_up(outputs), inputs * bits // 8, dtype=torch.uint8)
    for start in range(0, outputs, ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        part = _ordered(_raised(weight.q_OI[rows], shift[rows] if isinstance(shift, Tensor) else shift), bits, size)
        data[rows].view(torch.int32).view(part.shape).copy_(part)
    scale_BGL = _by_block(weight.scale_OG.half())
    scales = torch.stack([scale_BGL, _by_block(weight.low_OG.half())], 2) if low_too else scale_BGL
    format = bits | (SIXTEEN if size == 16 else 0) | (LOW_TOO if shift is None else 0)
    return Packed(format, inputs, _up(outputs), data, scales.contiguous())


def _shift(weight: Grouped) -> int | Tensor | None:
    """What q may be raised by, so that an 8-bit matrix is scale * (q - 128) and needs no low: one number, or one for each input where
    parts that were joined differ; None where there is no such."""
    scale_OG, low_OG = weight.scale_OG.float(), weight.low_OG.float()
    offset_OG = torch.where(scale_OG == 0, 128, torch.round(-low_OG / scale_OG))
    least, most = offset_OG.aminmax()
    if not torch.equal(offset_OG * -scale_OG, low_OG) or least < 0 or most > 128:
        return None
    if least == 128:
        return 0
    if least == most:
        return 128 - int(least) if int(weight.q_OI.max()) + 128 - int(least) <= 255 else None
    shift_OI = (128 - offset_OG).to(torch.uint8).repeat_interleave(weight.size, 1)
    return shift_OI if bool((weight.q_OI <= 255 - shift_OI).all()) else None


def _raised(q_OI: Tensor, shift: int | Tensor | None) -> Tensor:
    return q_OI if shift is None or (isinstance(shift, int) and not shift) else q_OI + shift


def _ordered(q_OI: Tensor, bits: int, size: int) -> Tensor:
    """Four numbers in an int32, or eight of 4 bits."""
    q_BGQL = _by_quads(q_OI, size)
    return q_BGQL if bits == 8 else q_BGQL[:, :, : size // 8] | q_BGQL[:, :, size // 8 :] << 4


def _pack_bf16(weight_OI: Tensor) -> Packed:
    outputs, inputs = weight_OI.shape
    w_BLP2 = pad_outputs(weight_OI.to(torch.bfloat16)).view(-1, LANES, inputs // 2, 2)
    return Packed(BF16, inputs, _up(outputs), w_BLP2.transpose(1, 2).contiguous(), None)


def _by_quads(q_OI: Tensor, size: int) -> Tensor:
    """int32 [block, group, quad of inputs, lane]: four bytes each."""
    quads_OI = pad_outputs(q_OI).view(torch.int32)
    return quads_OI.view(-1, LANES, q_OI.shape[1] // size, size // 4).permute(0, 2, 3, 1)


def _by_block(x_OG: Tensor) -> Tensor:
    return pad_outputs(x_OG).view(-1, LANES, x_OG.shape[1]).transpose(1, 2)


def _up(outputs: int) -> int:
    return -(-outputs // LANES) * LANES


def pad_outputs(x_OI: Tensor) -> Tensor:
    """With rows of zeros up to a multiple of LANES."""
    missing = _up(len(x_OI)) - len(x_OI)
    return torch.cat([x_OI, x_OI.new_zeros(missing, x_OI.shape[1])]) if missing else x_OI.contiguous()
