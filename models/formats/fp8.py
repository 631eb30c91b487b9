"""Matrices of 8-bit floats (Micikevicius et al. 2022, arXiv 2209.05433): `weight` float8_e4m3fn beside a scale that multiplies it:
`weight_scale_inv` for each block (DeepSeek-V3), or `weight_scale` for each row or for all."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.formats.packed import Parts
from models.hf import Config
from models.quant import Weight


@dataclass(frozen=True)
class Fp8:
    block: tuple[int, int] | None
    main: str = "weight"
    parts: tuple[str, ...] = ("weight_scale_inv", "weight_scale", "input_scale", "activation_scale")

    def weight(self, parts: Parts) -> Weight:
        weight_OI, scale = parts["weight"], parts.get("weight_scale_inv", parts.get("weight_scale"))
        if scale is None:
            return weight_OI
        return weight_OI.float() * _spread(scale.float(), weight_OI.shape, self.block)


def _spread(scale: Tensor, shape: torch.Size, block: tuple[int, int] | None) -> Tensor:
    """A number for each of the matrix: blocks at its ends may be cut."""
    if scale.dim() < 2 or block is None:
        return scale if scale.dim() != 1 else scale[:, None]
    return scale.repeat_interleave(block[0], 0)[: shape[0]].repeat_interleave(block[1], 1)[:, : shape[1]]


def read(config: Config) -> Fp8:
    config.only("fmt", "e4m3", "float8_e4m3fn")
    config.ignore("activation_scheme", "modules_to_not_convert", "dequantize", "scale_fmt", "ignored_layers")
    size = config.items("weight_block_size", int)
    return Fp8((int(size[0]), int(size[1])) if size else None)
