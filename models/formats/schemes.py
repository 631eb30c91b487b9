"""How compressed-tensors packs one matrix, and what makes numbers of it again.

int:    `weight_packed` int32 [O, I * bits / 32], q + 2^(bits - 1) with the lowest bits first, or `weight` int8 [O, I].
        w = (q - z) * s, the zeros of the packed form packed along the outputs.
float:  `weight` float8_e4m3fn [O, I], or numbers of 4 bits two a byte (E2M1) or of 6 bits four in three bytes (E2M3).
`weight_scale` has a number for each `rows` times `columns`; of the MX formats it holds exponents, 127 for 1."""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from models.formats.bits import by_group, grouped, unpack, words
from models.formats.fp8 import spread
from models.formats.mxfp4 import doubles
from models.formats.packed import FLOATS, Parts, plain
from models.quant import Weight, WeightsError

_E8M0 = (torch.uint8,)
_MAGNITUDES = (*(m / 8 for m in range(8)), *((1 + m / 8) * 2.0**e for e in range(3) for m in range(8)))  # of E2M3


@dataclass(frozen=True)
class Scheme:
    """`rows`, `columns`: of the block that shares a scale, 0 for all there are."""

    format: str
    kind: str  # "int" or "float"
    bits: int
    symmetric: bool
    rows: int
    columns: int

    def blocks(self, shape: tuple[int, int]) -> tuple[int, int]:
        """How many there are, down and across."""
        down, across = (-(-n // (size or n)) for n, size in zip(shape, (self.rows, self.columns), strict=True))
        return down, across


def weight(scheme: Scheme, parts: Parts) -> Weight:
    match scheme.format, scheme.kind:
        case "pack-quantized", _:
            return _packed(scheme, parts)
        case "nvfp4-pack-quantized", _:
            return _nvfp4(scheme, parts)
        case "mxfp4-pack-quantized", _:
            bytes_OB = parts.need("weight_packed", (torch.uint8,), -1, -1)
            return _e2m1(bytes_OB, scheme, parts, _exponents(scheme, parts, (bytes_OB.shape[0], bytes_OB.shape[1] * 2)))
        case "mxfp6-pack-quantized", _:
            return _mxfp6(scheme, parts)
        case "mxfp8-quantized", _:
            weight_OI = parts.need("weight", (torch.float8_e4m3fn,), -1, -1)
            return _scaled(weight_OI, scheme, _exponents(scheme, parts, _shape(weight_OI)))
        case _, "float":
            weight_OI = parts.need("weight", (torch.float8_e4m3fn,), -1, -1)
            return _scaled(weight_OI, scheme, _numbers(scheme, parts, "weight_scale", FLOATS, _shape(weight_OI)).float())
        case _:
            return _int8(scheme, parts)


def _packed(scheme: Scheme, parts: Parts) -> Weight:
    outputs, inputs = (int(n) for n in parts.need("weight_shape", (torch.int64, torch.int32), 2))
    packed_OW = parts.need("weight_packed", (torch.int32,), outputs, words(inputs, scheme.bits))
    scale = _numbers(scheme, parts, "weight_scale", FLOATS, (outputs, inputs))
    zero = _packed_zeros(scheme, parts, (outputs, inputs))
    return _integers(scheme, parts, unpack(packed_OW, scheme.bits, 1)[:, :inputs], scale, zero)


def _packed_zeros(scheme: Scheme, parts: Parts, shape: tuple[int, int]) -> Tensor:
    middle = 2 ** (scheme.bits - 1)
    if scheme.symmetric or not scheme.rows:
        return _zeros(scheme, parts, shape) + middle
    packed_WG = parts.need("weight_zero_point", (torch.int32,), words(shape[0], scheme.bits), scheme.blocks(shape)[1])
    return unpack(packed_WG, scheme.bits, 0)[: shape[0]]


def _int8(scheme: Scheme, parts: Parts) -> Weight:
    q_OI = parts.need("weight", (torch.int8,), -1, -1)
    scale, zero = _numbers(scheme, parts, "weight_scale", FLOATS, _shape(q_OI)), _zeros(scheme, parts, _shape(q_OI))
    return _integers(scheme, parts, (q_OI.int() + 128).to(torch.uint8), scale, zero + 128)


def _zeros(scheme: Scheme, parts: Parts, shape: tuple[int, int]) -> Tensor:
    """int32, as they are stored where they are not packed. A symmetric matrix needs none."""
    if scheme.symmetric:
        zero = parts.tensors.get("weight_zero_point")
        if zero is not None and bool(zero.any()):
            raise parts.wrong("weight_zero_point", "must be zero, as the weights are symmetric")
        return torch.zeros(scheme.blocks(shape), dtype=torch.int32)
    return _numbers(scheme, parts, "weight_zero_point", (torch.int8, torch.int32), shape).int()


def _integers(scheme: Scheme, parts: Parts, q_OI: Tensor, scale: Tensor, zero: Tensor) -> Weight:
    """`scale` and `zero`: a number for each block."""
    outputs, inputs = q_OI.shape
    group_I = by_group(parts, "weight_g_idx", inputs, scale.shape[1])
    scale_OG, zero_OG = (spread(t, q_OI.shape, scheme.rows or outputs, 1) for t in (scale, zero))
    if group_I is None:
        return grouped(q_OI.contiguous(), scale_OG, zero_OG, scheme.bits)
    return (q_OI.float() - zero_OG.float()[:, group_I]) * scale_OG.float()[:, group_I]


def _nvfp4(scheme: Scheme, parts: Parts) -> Weight:
    bytes_OB = parts.need("weight_packed", (torch.uint8,), -1, -1)
    shape = bytes_OB.shape[0], bytes_OB.shape[1] * 2
    scale = _numbers(scheme, parts, "weight_scale", (torch.float8_e4m3fn,), shape).float()
    return _e2m1(bytes_OB, scheme, parts, scale / parts.need("weight_global_scale", (torch.float32,), 1))


def _e2m1(bytes_OB: Tensor, scheme: Scheme, parts: Parts, scale: Tensor) -> Weight:
    by_group(parts, "weight_g_idx", bytes_OB.shape[1] * 2, scale.shape[1])
    scale_OG = spread(scale, torch.Size((len(bytes_OB), scale.shape[1])), scheme.rows or len(bytes_OB), 1) / 2
    return grouped(doubles(bytes_OB), scale_OG, torch.full_like(scale_OG, 128), 8)


def _mxfp6(scheme: Scheme, parts: Parts) -> Tensor:
    bytes_OB = parts.need("weight_packed", (torch.uint8,), -1, -1)
    if bytes_OB.shape[1] % 12:
        raise parts.wrong("weight_packed", f"must have a multiple of 12 bytes in a row, but has {bytes_OB.shape[1]}")
    table = torch.tensor([*_MAGNITUDES, *(-m for m in _MAGNITUDES)])
    values_OI = table[unpack(bytes_OB.contiguous().view(torch.int32), 6, 1).int()]
    return _scaled(values_OI, scheme, _exponents(scheme, parts, _shape(values_OI)))


def _exponents(scheme: Scheme, parts: Parts, shape: tuple[int, int]) -> Tensor:
    exponents = _numbers(scheme, parts, "weight_scale", _E8M0, shape)
    return torch.ldexp(torch.ones(exponents.shape), exponents.int() - 127)


def _scaled(values_OI: Tensor, scheme: Scheme, scale: Tensor) -> Tensor:
    outputs, inputs = values_OI.shape
    return values_OI.float() * spread(scale, values_OI.shape, scheme.rows or outputs, scheme.columns or inputs)


def _numbers(scheme: Scheme, parts: Parts, name: str, dtypes: tuple[torch.dtype, ...], shape: tuple[int, int]) -> Tensor:
    """A part that has a number for each block. It may lack its last axes where they are one long."""
    blocks = scheme.blocks(shape)
    if scheme.columns and scheme.rows == 1 and shape[1] % scheme.columns:
        raise WeightsError(f"{plain(parts.stem)} has {shape[1]} inputs, which groups of {scheme.columns} do not divide")
    dims = parts.tensors[name].dim() if name in parts else 2
    lengths = blocks[:dims] if prod(blocks[dims:]) == 1 else blocks
    return parts.need(name, dtypes, *lengths).reshape(blocks)


def _shape(matrix: Tensor) -> tuple[int, int]:
    return matrix.shape[0], matrix.shape[1]
