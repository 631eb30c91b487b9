"""GGUF's number formats: the bytes of one tensor to a `Weight`. A block is 32 numbers of one row behind one another.

Q4_0: float16 d, 16 bytes.  Q4_1: float16 d, float16 m, 16 bytes.  Q8_0: float16 d, 32 signed bytes.
In the 4-bit ones byte j holds number j in its low half and number j + 16 in its high half.
"""

import torch
from torch import Tensor

from models.quant import GROUP, Grouped, Weight

PLAIN = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def decode(kind: str, data: Tensor, shape: tuple[int, ...]) -> Weight:
    """`data`: the tensor's bytes (uint8, 1-D); `shape`: as torch has it, [O, I]. Plain kinds stay views of `data`."""
    if kind in PLAIN:
        return data.view(PLAIN[kind]).view(shape)
    if kind not in ("Q4_0", "Q4_1", "Q8_0") or len(shape) != 2:
        return _dequantize(kind, data, shape)
    blocks_OGB = data.view(shape[0], shape[1] // GROUP, -1)
    return {"Q4_0": _q4_0, "Q4_1": _q4_1, "Q8_0": _q8_0}[kind](blocks_OGB)


def _q4_0(blocks_OGB: Tensor) -> Grouped:
    scale_OG = _half(blocks_OGB, 0)
    return Grouped(4, _nibbles(blocks_OGB[..., 2:]), scale_OG, scale_OG * -8)


def _q4_1(blocks_OGB: Tensor) -> Grouped:
    return Grouped(4, _nibbles(blocks_OGB[..., 4:]), _half(blocks_OGB, 0), _half(blocks_OGB, 2))


def _q8_0(blocks_OGB: Tensor) -> Grouped:
    scale_OG = _half(blocks_OGB, 0)
    return Grouped(8, blocks_OGB[..., 2:].bitwise_xor(0x80).flatten(1), scale_OG, scale_OG * -128)


def _half(blocks_OGB: Tensor, at: int) -> Tensor:
    return blocks_OGB[..., at : at + 2].contiguous().view(torch.float16).squeeze(-1)


def _nibbles(packed_OGB: Tensor) -> Tensor:
    return torch.cat([packed_OGB & 15, packed_OGB >> 4], -1).flatten(1)


def _dequantize(kind: str, data: Tensor, shape: tuple[int, ...]) -> Tensor:
    """float32, by the gguf library: K-quants and the other formats that no kernel of ours takes."""
    import gguf

    rows = data.view(*shape[:-1], -1).numpy()
    return torch.from_numpy(gguf.dequantize(rows, gguf.GGMLQuantizationType[kind])).view(shape)
