"""GPTQ (Frantar et al. 2022, arXiv 2210.17323) as AutoGPTQ and GPTQModel write it: `qweight` int32 [I * bits / 32, O] packed along
the inputs, `qzeros` [G, O * bits / 32] along the outputs, `scales` [G, O], `g_idx` [I]: the group of each input.

w = (q - z) * s. The first format stores z - 1, the second z; some files say the first and store the second."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.formats.bits import by_group, grouped, unpack, words
from models.formats.packed import FLOATS, Parts
from models.hf import Config
from models.quant import Weight


@dataclass(frozen=True)
class Gptq:
    bits: int
    symmetric: bool
    second: bool  # zeros are stored as they are
    mains: tuple[str, ...] = ("qweight",)
    parts: tuple[str, ...] = ("qzeros", "scales", "g_idx")

    def weight(self, parts: Parts) -> Weight:
        q_OI = unpack(parts.need("qweight", (torch.int32,), -1, -1), self.bits, 0).T
        outputs, inputs = q_OI.shape
        scale_OG = parts.need("scales", FLOATS, -1, outputs).T
        zeros = parts.need("qzeros", (torch.int32,), scale_OG.shape[1], words(outputs, self.bits))
        zero_OG = unpack(zeros, self.bits, 1).T[:outputs]
        zero_OG = zero_OG if self._stores_zeros(zero_OG) else (zero_OG + 1) & 0xFF
        group_I = by_group(parts, "g_idx", inputs, scale_OG.shape[1])
        if group_I is None:
            return grouped(q_OI.contiguous(), scale_OG, zero_OG, self.bits)
        return (q_OI.float() - zero_OG.float()[:, group_I]) * scale_OG.float()[:, group_I]  # by desc_act a group's inputs lie apart

    def _stores_zeros(self, zero_OG: Tensor) -> bool:
        """A symmetric matrix has its zero in the middle: a file that has it there stores zeros, whatever it says."""
        middle = 2 ** (self.bits - 1)
        return self.second or (self.symmetric and bool((zero_OG == middle).all()))


def read(config: Config) -> Gptq:
    bits = config.integer("bits")
    config.only("bits", 2, 3, 4, 8)
    version = config.text("checkpoint_format", "gptq")
    config.only("checkpoint_format", "gptq", "gptq_v2")
    config.ignore("group_size", "desc_act")  # the tensors' own shapes and g_idx say it
    config.ignore("static_groups", "true_sequential", "damp_percent", "damp_auto_increment", "dataset", "lm_head", "meta", "tokenizer")
    config.ignore("model_name_or_path", "model_file_base_name", "pack_dtype", "use_exllama", "exllama_config", "max_input_length")
    config.ignore("modules_in_block_to_quantize", "cache_block_outputs", "batch_size", "pad_token_id", "backend", "use_cuda_fp16")
    return Gptq(bits, config.flag("sym", True), version == "gptq_v2")
