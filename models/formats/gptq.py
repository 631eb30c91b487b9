"""GPTQ (Frantar et al. 2022, arXiv 2210.17323) as AutoGPTQ and GPTQModel write it: `qweight` int32 [I * bits / 32, O] packed along
the inputs, `qzeros` [G, O * bits / 32] along the outputs, `scales` [G, O], `g_idx` [I]: the group of each input.

w = (q - z) * s. The first format stores z - 1, the second z; some files say the first and store the second."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.formats.bits import grouped, unpack
from models.formats.packed import Parts
from models.hf import Config
from models.quant import Weight


@dataclass(frozen=True)
class Gptq:
    bits: int
    symmetric: bool
    second: bool  # zeros are stored as they are
    main: str = "qweight"
    parts: tuple[str, ...] = ("qzeros", "scales", "g_idx")

    def weight(self, parts: Parts) -> Weight:
        q_OI = unpack(parts["qweight"], self.bits, 0).T
        scale_OG, zero_OG = parts["scales"].T, unpack(parts["qzeros"], self.bits, 1).T[: q_OI.shape[0]]
        zero_OG = zero_OG if self._stores_zeros(zero_OG) else (zero_OG + 1) & 0xFF
        order = parts.get("g_idx")
        if order is None or torch.equal(order.long(), _in_a_row(q_OI.shape[1], scale_OG.shape[1])):
            return grouped(q_OI.contiguous(), scale_OG, zero_OG, self.bits)
        group_I = order.long()  # by desc_act the inputs of a group lie apart
        return (q_OI.float() - zero_OG.float()[:, group_I]) * scale_OG.float()[:, group_I]

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


def _in_a_row(inputs: int, groups: int) -> Tensor:
    return torch.arange(inputs) // (inputs // groups)
