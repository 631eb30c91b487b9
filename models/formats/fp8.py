"""Matrices of 8-bit floats (Micikevicius et al. 2022, arXiv 2209.05433): `weight` float8_e4m3fn beside a scale that multiplies it:
`weight_scale_inv` for each block (DeepSeek-V3), or `weight_scale` for each row or for all."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.formats.packed import FLOATS, Parts
from models.hf import Config
from models.quant import Weight

_SCALES = (*FLOATS, torch.float8_e8m0fnu)


@dataclass(frozen=True)
class Fp8:
    block: tuple[int, int] | None
    mains: tuple[str, ...] = ("weight",)
    parts: tuple[str, ...] = ("weight_scale_inv", "weight_scale", "input_scale", "activation_scale")

    def weight(self, parts: Parts) -> Weight:
        if parts.tensors["weight"].dtype != torch.float8_e4m3fn and not any(part in parts for part in self.parts[:2]):
            return parts.tensors["weight"]
        weight_OI = parts.need("weight", (torch.float8_e4m3fn,), -1, -1)
        name = "weight_scale_inv" if "weight_scale_inv" in parts or "weight_scale" not in parts else "weight_scale"
        return weight_OI.float() * _numbers(parts, name, weight_OI.shape, self.block)


def _numbers(parts: Parts, name: str, shape: torch.Size, block: tuple[int, int] | None) -> Tensor:
    """One for each of the matrix, or something that broadcasts to it."""
    dims = parts.tensors[name].dim() if name in parts else 2
    if dims < 2:
        lengths = {0: (), 1: (1,) if parts.tensors[name].numel() == 1 else (shape[0],)}[dims]
        scale = parts.need(name, _SCALES, *lengths).float()
        return scale if dims == 0 else scale[:, None]
    rows, columns = block or (1, shape[1])
    return spread(parts.need(name, _SCALES, -(-shape[0] // rows), -(-shape[1] // columns)).float(), shape, rows, columns)


def spread(scale: Tensor, shape: torch.Size, rows: int, columns: int) -> Tensor:
    """Each number for `rows` times `columns` of a matrix of that shape: blocks at its ends may be cut."""
    return scale.repeat_interleave(rows, 0)[: shape[0]].repeat_interleave(columns, 1)[:, : shape[1]]


def read(config: Config) -> Fp8:
    config.only("fmt", "e4m3", "float8_e4m3fn")
    config.ignore("activation_scheme", "modules_to_not_convert", "dequantize", "scale_fmt", "ignored_layers")
    size = config.integers("weight_block_size")
    return Fp8((int(size[0]), int(size[1])) if size else None)
