"""AWQ (Lin et al. 2023, arXiv 2306.00978), version "gemm": `qweight` int32 [I, O / 8] and `qzeros` [G, O / 8] packed along the
outputs, whose eight nibbles are the outputs 0, 2, 4, 6, 1, 3, 5, 7; `scales` [G, O]. w = (q - z) * s."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.formats.bits import by_group, grouped, unpack
from models.formats.packed import FLOATS, Parts
from models.hf import Config
from models.quant import Weight

_PLACE = (0, 4, 1, 5, 2, 6, 3, 7)  # of output j among the nibbles of its word


@dataclass(frozen=True)
class Awq:
    mains: tuple[str, ...] = ("qweight",)
    parts: tuple[str, ...] = ("qzeros", "scales")

    def weight(self, parts: Parts) -> Weight:
        words_IW = parts.need("qweight", (torch.int32,), -1, -1)
        scales_GO = parts.need("scales", FLOATS, -1, words_IW.shape[1] * 8)
        zeros_GW = parts.need("qzeros", (torch.int32,), scales_GO.shape[0], words_IW.shape[1])
        by_group(parts, "g_idx", words_IW.shape[0], scales_GO.shape[0])
        return grouped(_ordered(words_IW).T.contiguous(), scales_GO.T, _ordered(zeros_GW).T, 4)


def _ordered(words: Tensor) -> Tensor:
    """uint8 [..., O]"""
    return unpack(words, 4, 1).unflatten(1, (-1, 8))[..., torch.tensor(_PLACE)].flatten(1)


def read(config: Config) -> Awq:
    config.only("bits", 4)
    config.only("version", "gemm")
    config.only("zero_point", True)
    config.ignore("group_size", "modules_to_not_convert", "do_fuse", "fuse_max_seq_len", "modules_to_fuse", "backend", "exllama_config")
    return Awq()
