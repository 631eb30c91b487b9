"""GGUF's number formats: the bytes of one tensor to a `Weight`. A block is 32 (of k_quants.py: 256) numbers of one row behind one
another.

Q4_0: float16 d, 16 bytes.  Q4_1: float16 d, float16 m, 16 bytes.  Q8_0: float16 d, 32 signed bytes.
Q5_0 and Q5_1: the same as Q4_0 and Q4_1 with 4 bytes of fifth bits before the 16.
IQ4_NL: as Q4_0, but a half byte is a place in a table.  MXFP4: a power of two, 16 bytes of places in a table.
In all but Q8_0 byte j holds number j in its low half and number j + 16 in its high half.
What does not fit 4 or 8 bits and a scale, as codebooks of several numbers at a time, becomes dense.
"""

import numpy as np
import torch
from torch import Tensor

from models.gguf import k_quants
from models.quant import GROUP, Grouped, Matrix, Stack, Weight, WeightsError, dense

PLAIN = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
# what a half byte means in MXFP4 (E2M1): twice that, so that all are integers, plus 128
_E2M1 = np.array([128, 129, 130, 131, 132, 134, 136, 140, 128, 127, 126, 125, 124, 122, 120, 116], np.uint8)


def decode(kind: str, data: Tensor, shape: tuple[int, ...]) -> Weight:
    """`data`: the tensor's bytes (uint8, 1-D); `shape`: as torch has it, [O, I]. Plain kinds stay views of `data`."""
    if kind in PLAIN:
        return data.view(PLAIN[kind]).view(shape)
    if len(shape) == 3:
        return _stack(kind, data, shape)
    if len(shape) < 2:
        return _dequantize(kind, data, shape)
    if kind in _BLOCKS:
        return _BLOCKS[kind](data.view(shape[0], shape[1] // GROUP, -1))
    if kind in k_quants.BLOCKS:
        return k_quants.BLOCKS[kind](data.view(shape[0], shape[1] // k_quants.BLOCK, -1))
    return _dequantize(kind, data, shape)


def _stack(kind: str, data: Tensor, shape: tuple[int, ...]) -> Stack:
    """Experts lie behind one another."""
    parts = data.view(shape[0], -1)

    def of(expert: int) -> Matrix:
        part = decode(kind, parts[expert], shape[1:])
        return part if isinstance(part, Grouped) else dense(part)

    return Stack(shape, of)


def _q4_0(blocks_OGB: Tensor) -> Grouped:
    scale_OG = _half(blocks_OGB, 0)
    return Grouped(4, _nibbles(blocks_OGB[..., 2:]), scale_OG, scale_OG * -8)


def _q4_1(blocks_OGB: Tensor) -> Grouped:
    return Grouped(4, _nibbles(blocks_OGB[..., 4:]), _half(blocks_OGB, 0), _half(blocks_OGB, 2))


def _q5_0(blocks_OGB: Tensor) -> Grouped:
    scale_OG = _half(blocks_OGB, 0)
    return Grouped(8, _fives(blocks_OGB[..., 2:]), scale_OG, scale_OG * -16)


def _q5_1(blocks_OGB: Tensor) -> Grouped:
    return Grouped(8, _fives(blocks_OGB[..., 4:]), _half(blocks_OGB, 0), _half(blocks_OGB, 2))


def _q8_0(blocks_OGB: Tensor) -> Grouped:
    scale_OG = _half(blocks_OGB, 0)
    return Grouped(8, blocks_OGB[..., 2:].bitwise_xor(0x80).flatten(1), scale_OG, scale_OG * -128)


def _iq4_nl(blocks_OGB: Tensor) -> Grouped:
    scale_OG = _half(blocks_OGB, 0)
    return Grouped(8, k_quants.looked_up(k_quants.IQ4, _nibbles(blocks_OGB[..., 2:])), scale_OG, scale_OG * -128)


def _mxfp4(blocks_OGB: Tensor) -> Grouped:
    scale_OG = torch.from_numpy(np.ldexp(np.float32(0.5), blocks_OGB[..., 0].int().numpy() - 127))
    return Grouped(8, k_quants.looked_up(_E2M1, _nibbles(blocks_OGB[..., 1:])), scale_OG, scale_OG * -128)


_BLOCKS = {
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q8_0": _q8_0,
    "IQ4_NL": _iq4_nl,
    "MXFP4": _mxfp4,
}


def _half(blocks_OGB: Tensor, at: int) -> Tensor:
    return blocks_OGB[..., at : at + 2].contiguous().view(torch.float16).squeeze(-1)


def _nibbles(packed_OGB: Tensor) -> Tensor:
    """[O, I]"""
    return torch.stack([packed_OGB & 15, packed_OGB >> 4], -2).flatten(1)


def _fives(packed_OGB: Tensor) -> Tensor:
    """Numbers of five bits, the fifth ones first."""
    fifth = torch.from_numpy(np.unpackbits(packed_OGB[..., :4].numpy(), axis=-1, bitorder="little")).flatten(1)
    return _nibbles(packed_OGB[..., 4:]).bitwise_or_(fifth.bitwise_left_shift_(4))


def _dequantize(kind: str, data: Tensor, shape: tuple[int, ...]) -> Tensor:
    """float32, by the gguf library. Raises WeightsError for what that cannot read."""
    import gguf

    rows = data.view(*shape[:-1], -1).numpy()
    try:
        return torch.from_numpy(gguf.dequantize(rows, gguf.GGMLQuantizationType[kind])).view(shape)
    except (KeyError, NotImplementedError) as error:
        known = ", ".join((*PLAIN, *_BLOCKS, *k_quants.BLOCKS))
        raise WeightsError(f"tensors of GGUF type {kind} cannot be read: quantize the model to one of {known}") from error
