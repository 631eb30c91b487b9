"""Writes GGUF files as llama.cpp's converter does, from a random model of transformers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from torch import Tensor
from transformers import PreTrainedModel

ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma3_text": "gemma3"}

_LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
}
_NORMS = {"post_attention_layernorm": "ffn_norm"}
_NORMS_GEMMA = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
_WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def quantized(weight: Tensor, kind: Kind) -> Tensor:
    """What is left of `weight` after being stored as `kind`."""
    if kind == Kind.BF16:
        return weight.bfloat16().float()
    return torch.from_numpy(gguf.dequantize(gguf.quantize(weight.numpy(), kind), kind))


def round_weights(model: PreTrainedModel, kind: Kind) -> None:
    """Give the model exactly the numbers that a file of this kind holds."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.copy_(quantized(parameter, kind))


def write(path: Path, model: PreTrainedModel, kind: Kind, *, extra: Mapping[str, Any] | None = None, split: int = 0) -> list[Path]:
    """The file, or its pieces of `split` tensors each. `extra`: further metadata of the architecture."""
    config = model.config
    writer = gguf.GGUFWriter(path, ARCHITECTURES[config.model_type], split_max_tensors=split)
    _metadata(writer, config)
    for key, value in (extra or {}).items():
        _add(writer, key, value)
    for name, weight in _tensors(model).items():
        stored = kind if weight.dim() == 2 else Kind.F32
        data = gguf.quantize(np.ascontiguousarray(weight.numpy()), stored)
        writer.add_tensor(name, data, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sorted(path.parent.glob("*.gguf"))


def _metadata(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    rope = config.rope_parameters
    if rope.get("rope_type") == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    writer.add_rope_freq_base(rope.get("full_attention", rope)["rope_theta"])
    writer.add_bos_token_id(1)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    if config.model_type == "llama":
        writer.add_rope_dimension_count(head_dim)
    if getattr(config, "sliding_window", None):
        writer.add_sliding_window(config.sliding_window)


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    adders = {str: writer.add_string, int: writer.add_uint32, float: writer.add_float32, bool: writer.add_bool}
    adders[type(value)](f"{writer.arch}.{key}", value)


def _tensors(model: PreTrainedModel) -> dict[str, Tensor]:
    config, state = model.config, dict(model.state_dict())
    if config.tie_word_embeddings:
        del state["lm_head.weight"]
    tensors = {_name(name, config.model_type): _stored(name, weight, config) for name, weight in state.items()}
    if config.rope_parameters.get("rope_type") == "llama3":
        tensors["rope_freqs.weight"] = _divisors(model)
    return tensors


def _divisors(model: PreTrainedModel) -> Tensor:
    """What each frequency is divided by, from the frequencies that transformers computed."""
    scaled = model.get_submodule("model.rotary_emb").get_buffer("inv_freq")
    base, count = model.config.rope_parameters["rope_theta"], len(scaled)
    return base ** -(torch.arange(count) / count) / scaled


def _name(name: str, model_type: str) -> str:
    base, _, field = name.rpartition(".")
    if base in _WHOLE:
        return f"{_WHOLE[base]}.{field}"
    _, _, layer, part = base.split(".", 3)
    parts = _LAYER | (_NORMS_GEMMA if model_type == "gemma3_text" else _NORMS)
    return f"blk.{layer}.{parts[part]}.{field}"


def _stored(name: str, weight: Tensor, config: Any) -> Tensor:
    if config.model_type == "gemma3_text" and "norm" in name:
        return weight + 1
    if ARCHITECTURES[config.model_type] == "llama" and (".q_proj." in name or ".k_proj." in name):
        heads = config.num_attention_heads if ".q_proj." in name else config.num_key_value_heads
        return weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)
    return weight
