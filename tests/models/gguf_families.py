"""Writes any family's tiny model as GGUF: names by the gguf library's own tables, and what llama.cpp's converter does to tensors and
says about them (its conversion/*.py). These files were also read by llama.cpp itself, whose logits were the same."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

Named = tuple[str, Tensor]
Change = Callable[[str, Tensor, Any], list[Named]]


@dataclass(frozen=True)
class Written:
    """`says`: fields beside the usual ones, from the configuration. `change`: what becomes of a tensor before it is named."""

    arch: str
    says: Callable[[Any], Mapping[str, Any]] = lambda config: {}
    change: Change = lambda name, tensor, config: [(name, tensor)]
    renamed: Mapping[str, str] = field(default_factory=dict[str, str])


def pairs(name: str, tensor: Tensor, config: Any) -> list[Named]:
    """Rotated halves of q and k become pairs."""
    match = re.search(r"\.([qk])_proj\.", name)
    if match is None:
        return [(name, tensor)]
    heads = config.num_attention_heads if match[1] == "q" else config.num_key_value_heads
    return [(name, tensor.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2))]


def shifted(name: str, tensor: Tensor, config: Any) -> list[Named]:
    return [(name, tensor + 1 if name.endswith("norm.weight") else tensor)]


def transposed(name: str, tensor: Tensor, config: Any) -> list[Named]:
    return [(name, tensor.mT if re.search(r"c_(attn|proj|fc)\.weight", name) else tensor)]


def by_role(name: str, tensor: Tensor, config: Any) -> list[Named]:
    if "query_key_value" not in name:
        return [(name, tensor)]
    heads = config.num_attention_heads
    groups = getattr(config, "num_kv_heads", heads) if config.model_type == "falcon" else heads
    rows = tensor.unflatten(0, (groups, heads // groups + 2, -1))
    return [(name, torch.cat([rows[:, :-2].flatten(0, 2), rows[:, -2].flatten(0, 1), rows[:, -1].flatten(0, 1)]))]


def halved(name: str, tensor: Tensor, config: Any) -> list[Named]:
    """Gate and up apart."""
    if "input_linear" not in name:
        return pairs(name, tensor, config)
    kind = "_shexp" if "shared_mlp" in name else "_exps"
    gate, up = tensor.chunk(2, -2)
    layer = re.search(r"\d+", name)
    assert layer is not None
    return [(f"blk.{layer[0]}.ffn_{part}{kind}.weight", half) for part, half in (("gate", gate), ("up", up))]


def unzipped(name: str, tensor: Tensor, config: Any) -> list[Named]:
    """gpt-oss: gate and up side by side, [E, D, 2F]."""
    layer = re.search(r"\d+", name)
    if ".experts." not in name or layer is None:
        return [(name, tensor)]
    blk, bias = f"blk.{layer[0]}.ffn_", name.endswith("bias")
    tensor, end = (tensor, "bias") if bias else (tensor.mT, "weight")
    if "down" in name:
        return [(f"{blk}down_exps.{end}", tensor)]
    return [(f"{blk}{part}_exps.{end}", tensor[:, i::2]) for i, part in enumerate(("gate", "up"))]


def llama4(name: str, tensor: Tensor, config: Any) -> list[Named]:
    layer = re.search(r"\d+", name)
    if ".experts." not in name or layer is None:
        return [(name, tensor)]
    blk = f"blk.{layer[0]}.ffn_"
    if "down" in name:
        return [(f"{blk}down_exps.weight", tensor.mT)]
    return [(f"{blk}{part}_exps.weight", half.mT) for part, half in zip(("gate", "up"), tensor.chunk(2, -1), strict=True)]


def latent(name: str, tensor: Tensor, config: Any) -> list[Named]:
    """Keys and values of the latents apart, keys the other way round."""
    if "kv_b_proj" not in name:
        return [(name, tensor)]
    nope, value = config.qk_nope_head_dim, config.v_head_dim
    keys, values = tensor.unflatten(0, (config.num_attention_heads, nope + value)).split((nope, value), 1)
    return [(name.replace("kv_b_proj", "k_b_proj"), keys.mT), (name.replace("kv_b_proj", "v_b_proj"), values)]


def moe(config: Any) -> dict[str, Any]:
    count = getattr(config, "num_local_experts", None) or getattr(config, "num_experts", None) or config.n_routed_experts
    narrow = {"expert_feed_forward_length": config.moe_intermediate_size} if getattr(config, "moe_intermediate_size", None) else {}
    return {"expert_count": count, "expert_used_count": config.num_experts_per_tok} | narrow


def rotated(config: Any) -> dict[str, Any]:
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return {"rope.dimension_count": int(dim * config.rope_parameters.get("partial_rotary_factor", 1.0))}


def head(config: Any) -> dict[str, Any]:
    return {"attention.key_length": config.head_dim, "attention.value_length": config.head_dim}


def window(config: Any) -> dict[str, Any]:
    return {"attention.sliding_window": config.sliding_window}


def scales(config: Any) -> dict[str, Any]:
    return {
        "attention.scale": config.attention_multiplier,
        "embedding_scale": config.embedding_multiplier,
        "residual_scale": config.residual_multiplier,
        "logit_scale": config.logits_scaling,
    }


def deepseek(config: Any) -> dict[str, Any]:
    rope, rank = config.rope_parameters, config.kv_lora_rank
    says = moe(config) | {
        "attention.q_lora_rank": config.q_lora_rank,
        "attention.kv_lora_rank": rank,
        "attention.key_length": rank + config.qk_rope_head_dim,
        "attention.value_length": rank,
        "attention.key_length_mla": config.qk_nope_head_dim + config.qk_rope_head_dim,
        "attention.value_length_mla": config.v_head_dim,
        "rope.dimension_count": config.qk_rope_head_dim,
        "leading_dense_block_count": config.first_k_dense_replace,
        "expert_shared_count": config.n_shared_experts,
        "expert_weights_scale": config.routed_scaling_factor,
        "expert_weights_norm": bool(config.norm_topk_prob),
        "expert_gating_func": 2 if config.model_type == "deepseek_v3" else 1,
        "expert_group_count": config.n_group,
        "expert_group_used_count": config.topk_group,
    }
    return says | {"rope.scaling.yarn_log_multiplier": 0.1 * rope["mscale_all_dim"]}


WRITTEN = {
    "gpt2": Written("gpt2", change=transposed),
    "gpt_neox": Written("gptneox", lambda c: {"rope.dimension_count": 8, "use_parallel_residual": c.use_parallel_residual}, by_role),
    "bloom": Written("bloom", change=by_role),
    "falcon": Written("falcon", lambda c: {"tensor_data_layout": "jploski", "attention.head_count_kv": c.num_kv_heads}, by_role),
    "mpt": Written("mpt", lambda c: {"attention.clamp_kqv": c.attn_config.clip_qkv, "attention.max_alibi_bias": 8.0}),
    "phi3": Written("phi3", lambda c: rotated(c) | {"rope.scaling.attn_factor": 1.25, "attention.sliding_window": 0}),
    "starcoder2": Written("starcoder2"),
    "olmo2": Written("olmo2"),
    "olmo3": Written("olmo2", lambda c: window(c) | {"attention.sliding_window_pattern": 4}),
    "gemma": Written("gemma", head, shifted),
    "gemma2": Written(
        "gemma2",
        lambda c: head(c) | window(c) | {key: getattr(c, key) for key in ("attn_logit_softcapping", "final_logit_softcapping")},
        shifted,
    ),
    "cohere": Written("command-r", lambda c: {"logit_scale": c.logit_scale, "rope.scaling.type": "none"}),
    "cohere2": Written("cohere2", lambda c: head(c) | window(c) | rotated(c) | {"logit_scale": c.logit_scale}),
    "glm": Written("chatglm", rotated),
    "glm4": Written("glm4", lambda c: head(c) | rotated(c)),
    "smollm3": Written("smollm3", rotated, pairs),
    "granite": Written("granite", lambda c: rotated(c) | scales(c), pairs),
    "mixtral": Written("llama", lambda c: moe(c) | rotated(c), pairs),
    "qwen2_moe": Written("qwen2moe", lambda c: moe(c) | {"expert_shared_feed_forward_length": c.shared_expert_intermediate_size}),
    "qwen3_moe": Written("qwen3moe", lambda c: moe(c) | head(c)),
    "olmoe": Written("olmoe", moe),
    "gpt_oss": Written(
        "gpt-oss",
        lambda c: moe(c) | head(c) | window(c) | {"expert_feed_forward_length": c.intermediate_size},
        unzipped,
        {"sinks": "sinks.weight"},
    ),
    "granitemoe": Written("granitemoe", lambda c: moe(c) | rotated(c) | scales(c), halved),
    "granitemoeshared": Written(
        "granitemoe",
        lambda c: moe(c) | rotated(c) | scales(c) | {"expert_shared_feed_forward_length": c.shared_intermediate_size},
        halved,
    ),
    "phimoe": Written("phimoe", lambda c: moe(c) | rotated(c)),
    "llama4_text": Written(
        "llama4",
        lambda c: (
            moe(c)
            | head(c)
            | {"interleave_moe_layer_step": c.interleave_moe_layer_step, "expert_feed_forward_length": c.intermediate_size}
            | {"feed_forward_length": c.intermediate_size_mlp}
        ),
        llama4,
    ),
    "deepseek_v2": Written("deepseek2", deepseek, latent),
    "deepseek_v3": Written("deepseek2", deepseek, latent, {"e_score_correction_bias": "e_score_correction.bias"}),
    "minicpm3": Written(
        "minicpm3",
        lambda c: {
            "attention.q_lora_rank": c.q_lora_rank,
            "attention.kv_lora_rank": c.kv_lora_rank,
            "attention.key_length": c.qk_nope_head_dim + c.qk_rope_head_dim,
            "rope.dimension_count": c.qk_rope_head_dim,
        },
    ),
}


def write(path: Path, model: PreTrainedModel, how: Written) -> None:
    model.save_pretrained(path.parent / "published")
    config = model.config
    arch = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == how.arch)
    layers = getattr(config, "num_hidden_layers", None) or config.n_layer
    names = gguf.get_tensor_name_map(arch, layers)
    writer = gguf.GGUFWriter(path, how.arch)
    for key, value in (_usual(config, layers) | dict(how.says(config))).items():
        _add(writer, f"{how.arch}.{key}", value)
    for name, tensor in _longrope(config):
        writer.add_tensor(name, tensor.numpy())
    for name, tensor in _stacked(load_file(path.parent / "published" / "model.safetensors"), how, config):
        tables = (names.get_name(known, (".weight", ".bias")) for known in (name, name.removeprefix("transformer.")))
        stored = name if name.startswith("blk.") else next(filter(None, tables), None)
        assert stored is not None, f"the gguf library has no name for {name}"
        writer.add_tensor(stored, np.ascontiguousarray(tensor.float().numpy()))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()


def _usual(config: Any, layers: int) -> dict[str, Any]:
    heads, dim = getattr(config, "num_attention_heads", 0), config.hidden_size
    says = {"block_count": layers, "embedding_length": dim, "attention.head_count": heads}
    says["context_length"] = next(
        (v for key in ("max_position_embeddings", "seq_length", "max_seq_len") if (v := getattr(config, key, None))), 1 << 20
    )
    inner = next((v for key in ("n_inner", "ffn_hidden_size", "intermediate_size") if (v := getattr(config, key, None))), 4 * dim)
    says["feed_forward_length"] = inner
    if getattr(config, "num_key_value_heads", None) and config.model_type not in ("deepseek_v2", "deepseek_v3"):
        says["attention.head_count_kv"] = config.num_key_value_heads
    rms = getattr(config, "rms_norm_eps", None) or getattr(config, "norm_eps", None)
    rms = config.layer_norm_epsilon if re.search("mamba|nemotron", config.model_type) else rms
    eps = rms or next(v for key in ("layer_norm_epsilon", "layer_norm_eps", "norm_epsilon") if (v := getattr(config, key, None)))
    says["attention.layer_norm_rms_epsilon" if rms else "attention.layer_norm_epsilon"] = eps
    rope = getattr(config, "rope_parameters", None) or {}
    rope = rope.get("full_attention", rope)
    if "rope_theta" in rope:
        says["rope.freq_base"] = rope["rope_theta"]
    if rope.get("rope_type") == "yarn":
        says |= {"rope.scaling.type": "yarn", "rope.scaling.factor": rope["factor"]}
    if "original_max_position_embeddings" in rope:
        says["rope.scaling.original_context_length"] = rope["original_max_position_embeddings"]
    return says


def _longrope(config: Any) -> Iterator[Named]:
    rope = getattr(config, "rope_parameters", None) or {}
    for kind in ("long", "short") if rope.get("rope_type") == "longrope" else ():
        yield f"rope_factors_{kind}.weight", torch.tensor(rope[f"{kind}_factor"])


def _stacked(tensors: Mapping[str, Tensor], how: Written, config: Any) -> Iterator[Named]:
    """Experts in one tensor, every tensor changed."""
    experts: dict[str, dict[int, Tensor]] = {}
    for name, tensor in tensors.items():
        if match := re.fullmatch(r"(.*)\.experts\.(\d+)\.(.*)", name):
            experts.setdefault(f"{match[1]}.experts.{match[3]}", {})[int(match[2])] = tensor
        elif name != "lm_head.weight" or not config.tie_word_embeddings:
            for end, new in how.renamed.items():
                name = f"{name.removesuffix(end)}{new}" if name.endswith(end) else name
            yield from how.change(name, tensor, config)
    for name, parts in experts.items():
        name = re.sub(r"backbone\.(.*)\.mixer\.experts", r"model.\1.mlp.experts", name)
        name = re.sub(r"feed_forward\.(experts\.\w+_proj)", r"mlp.\1", name)
        merged = re.sub(r"model\.(.*)(block_sparse_moe|feed_forward)\.experts\.w", r"\1feed_forward.experts.w", name)
        yield merged, torch.stack([parts[e] for e in range(len(parts))])


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, list):
        writer.add_array(key, value)
        return
    adders = {str: writer.add_string, int: writer.add_uint32, float: writer.add_float32, bool: writer.add_bool}
    adders[type(value)](key, value)
