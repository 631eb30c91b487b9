"""AWQ (Lin et al. 2023, arXiv 2306.00978), version "gemm": `qweight` int32 [I, O / 8] and `qzeros` [G, O / 8] packed along the
outputs, whose eight nibbles are the outputs 0, 2, 4, 6, 1, 3, 5, 7; `scales` [G, O]. w = (q - z) * s."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.formats.bits import grouped, unpack
from models.formats.packed import Parts
from models.hf import Config
from models.quant import Weight

_PLACE = (0, 4, 1, 5, 2, 6, 3, 7)  # of output j among the nibbles of its word


@dataclass(frozen=True)
class Awq:
    main: str = "qweight"
    parts: tuple[str, ...] = ("qzeros", "scales")

    def weight(self, parts: Parts) -> Weight:
        return grouped(_ordered(parts["qweight"]).T.contiguous(), parts["scales"].T, _ordered(parts["qzeros"]).T, 4)


def _ordered(words: Tensor) -> Tensor:
    """uint8 [..., O]"""
    return unpack(words, 4, 1).unflatten(1, (-1, 8))[..., torch.tensor(_PLACE)].flatten(1)


def read(config: Config) -> Awq:
    config.only("bits", 4)
    config.only("version", "gemm")
    config.only("zero_point", True)
    config.ignore("group_size", "modules_to_not_convert", "do_fuse", "fuse_max_seq_len", "modules_to_fuse", "backend", "exllama_config")
    return Awq()
