"""The same as gguf_families.py of families with states."""

import re
from typing import Any

import torch
from torch import Tensor

from tests.models.gguf_families import Named, Written, halved, head, latent, moe, rotated, scales


def states(name: str, tensor: Tensor, config: Any) -> list[Named]:
    """Convolutions as matrices, decays as such; Mamba-2's one for each head as columns, and its norm in rows of a group each."""
    per_head, groups = hasattr(config, "n_groups") or hasattr(config, "mamba_n_groups"), getattr(config, "n_groups", 0)
    if re.search(r"conv(1d)?\.weight", name):
        return [(name, tensor.squeeze(1))]
    if name.endswith((".A_log", ".D")):
        tensor = -tensor.exp() if name.endswith("A_log") else tensor
        return [(name, tensor[:, None] if per_head else tensor)]
    if re.search(r"(mixer|mamba)\.norm\.weight", name):
        return [(name, tensor.unflatten(0, (groups or config.mamba_n_groups, -1)))]
    return [(name.replace(".dt_bias", ".dt_proj.bias"), tensor)]


def granite_hybrid(name: str, tensor: Tensor, config: Any) -> list[Named]:
    if "_linear" in name and not config.num_local_experts:  # the MLP that is beside no experts
        layer = name.split(".")[2]
        parts = {"input": ("gate", "up"), "output": ("down",)}["input" if "input" in name else "output"]
        return [(f"blk.{layer}.ffn_{part}.weight", half) for part, half in zip(parts, tensor.chunk(len(parts)), strict=True)]
    return [(new, t) for changed, part in states(name, tensor, config) for new, t in halved(changed, part, config)]


def falcon_h1(name: str, tensor: Tensor, config: Any) -> list[Named]:
    """Multiplied by all that is multiplied there."""
    attention, gate_and_down = config.attention_in_multiplier, config.mlp_multipliers
    by = {
        "down_proj": gate_and_down[1],
        "gate_proj": gate_and_down[0],
        "k_proj": config.key_multiplier * attention,
        "q_proj": attention,
        "v_proj": attention,
        "o_proj": config.attention_out_multiplier,
        "out_proj": config.ssm_out_multiplier,
        "lm_head": config.lm_head_multiplier,
        "embed_tokens": config.embedding_multiplier,
    }
    if "in_proj" in name:
        inner, shared = config.mamba_d_ssm, config.mamba_n_groups * config.mamba_d_state
        parts = zip(tensor.split((inner, inner, shared, shared, config.mamba_n_heads)), config.ssm_multipliers, strict=True)
        return [(name, torch.cat([part * factor * config.ssm_in_multiplier for part, factor in parts]))]
    factor = next((factor for part, factor in by.items() if f".{part}." in f".{name}"), 1.0)
    return states(name, tensor * factor, config)


def qwen3_next(name: str, tensor: Tensor, config: Any) -> list[Named]:
    """Norms plus 1, but for those behind the nets; queries, keys, values and gates of all key heads behind one another."""
    if "in_proj_qkvz" in name:
        k, values = config.linear_key_head_dim, config.linear_num_value_heads // config.linear_num_key_heads * config.linear_value_head_dim
        q, k, v, z = (t.flatten(0, 1) for t in tensor.unflatten(0, (config.linear_num_key_heads, -1)).split((k, k, values, values), 1))
        blk = f"blk.{name.split('.')[2]}."
        return [(f"{blk}attn_qkv.weight", torch.cat([q, k, v])), (f"{blk}attn_gate.weight", z)]
    if name.endswith("norm.weight") and "linear_attn" not in name:
        return [(name, tensor + 1)]
    return states(name, tensor, config)


def qwen3_5(name: str, tensor: Tensor, config: Any) -> list[Named]:
    """Value heads lie so that key heads take turns."""
    if "linear_attn" in name and "norm" not in name:
        keys, axis = config.linear_num_key_heads, 1 if "out_proj" in name else 0
        others = 2 * keys * config.linear_key_head_dim if re.search("qkv|conv1d", name) else 0
        before, values = tensor.split((others, tensor.shape[axis] - others), axis)
        turns = values.unflatten(axis, (keys, config.linear_num_value_heads // keys, -1)).transpose(axis, axis + 1)
        tensor = torch.cat([before, turns.flatten(axis, axis + 2)], axis)
    return qwen3_next(name, tensor, config)


def kimi_linear(name: str, tensor: Tensor, config: Any) -> list[Named]:
    if "_conv1d" in name:
        return [(name, tensor[None].transpose(1, 2).reshape(1, len(tensor), 1, -1))]
    if name.endswith("A_log"):
        return [(name, -tensor.exp())]
    name = re.sub(r"block_sparse_moe\.(gate|up|down)_proj", r"mlp.\1_proj", name)
    return latent(name.replace(".dt_bias", ".dt_proj.bias"), tensor, config)


def alone(config: Any) -> dict[str, Any]:
    rank = config.num_heads if config.model_type == "mamba2" else config.time_step_rank
    inner = config.num_heads * config.head_dim if config.model_type == "mamba2" else config.intermediate_size
    says = {"feed_forward_length": 0, "ssm.conv_kernel": config.conv_kernel, "ssm.inner_size": inner, "ssm.state_size": config.state_size}
    return says | {"ssm.time_step_rank": rank}


def hybrid(config: Any, attends: list[bool]) -> dict[str, Any]:
    says = {"ssm.conv_kernel": config.mamba_d_conv, "ssm.inner_size": int(config.mamba_expand * config.hidden_size)}
    kv_heads = [config.num_key_value_heads * is_one for is_one in attends]
    return says | {"ssm.state_size": config.mamba_d_state, "attention.head_count_kv": kv_heads}


def kinds(config: Any) -> list[bool]:
    return [kind in ("attention", "full_attention") for kind in config.layer_types]


def granite4(config: Any) -> dict[str, Any]:
    says = hybrid(config, kinds(config)) | rotated(config) | scales(config) | {"rope.scaling.finetuned": False}
    says |= {"ssm.time_step_rank": config.mamba_n_heads, "ssm.group_count": config.mamba_n_groups}
    shared = {"expert_shared_feed_forward_length": config.shared_intermediate_size}
    return says | (moe(config) | shared if config.num_local_experts else {})


def nemotron(config: Any) -> dict[str, Any]:
    kinds = config.layers_block_type
    says = {"ssm.conv_kernel": config.conv_kernel, "ssm.inner_size": config.mamba_num_heads * config.mamba_head_dim}
    says |= {"ssm.state_size": config.ssm_state_size, "ssm.time_step_rank": config.mamba_num_heads, "ssm.group_count": config.n_groups}
    width = config.moe_intermediate_size if "moe" in kinds else config.intermediate_size
    says["feed_forward_length"] = [width * (kind in ("mlp", "moe")) for kind in kinds]
    says["attention.head_count_kv"] = [config.num_key_value_heads * (kind in ("attention", "full_attention")) for kind in kinds]
    says |= {"attention.layer_norm_epsilon": config.layer_norm_epsilon}  # beside the other one, and equal to it
    return says | head(config) | {"rope.dimension_count": config.head_dim, "rope.scaling.finetuned": False}


def nemotron_moe(config: Any) -> dict[str, Any]:
    latent = {"moe_latent_size": config.moe_latent_size} if config.moe_latent_size else {}
    return (
        nemotron(config)
        | moe(config)
        | latent
        | {
            "expert_shared_feed_forward_length": config.moe_shared_expert_intermediate_size,
            "expert_shared_count": 1,
            "expert_weights_norm": bool(config.norm_topk_prob),
            "expert_weights_scale": config.routed_scaling_factor,
            "expert_group_count": config.n_group,
        }
    )


def nets(config: Any) -> dict[str, Any]:
    return {
        "ssm.conv_kernel": config.linear_conv_kernel_dim,
        "ssm.state_size": config.linear_key_head_dim,
        "ssm.group_count": config.linear_num_key_heads,
        "ssm.time_step_rank": config.linear_num_value_heads,
        "ssm.inner_size": config.linear_value_head_dim * config.linear_num_value_heads,
        "full_attention_interval": config.layer_types.index("full_attention") + 1,
    }


def shared(config: Any) -> dict[str, Any]:
    return {"expert_shared_feed_forward_length": config.shared_expert_intermediate_size}


def kimi(config: Any) -> dict[str, Any]:
    rank, rotated_dim = config.kv_lora_rank, config.qk_rope_head_dim
    return {
        "attention.head_count_kv": [int(is_one) for is_one in kinds(config)],
        "attention.kv_lora_rank": rank,
        "attention.key_length": rank + rotated_dim,
        "attention.key_length_mla": config.qk_nope_head_dim + rotated_dim,
        "attention.value_length_mla": config.v_head_dim,
        "rope.dimension_count": rotated_dim,
        "kda.head_dim": config.linear_head_dim,
        "ssm.conv_kernel": config.linear_conv_kernel_dim,
        "expert_count": config.num_experts,
        "expert_used_count": config.num_experts_per_token,
        "expert_gating_func": 2,
        "expert_feed_forward_length": config.moe_intermediate_size,
        "expert_shared_count": 1,
        "expert_weights_scale": config.routed_scaling_factor,
        "leading_dense_block_count": 1,
        "vocab_size": config.vocab_size,
    }


SECTIONS = {"rope.dimension_sections": [2, 2, 2, 0]}
STATES = {
    "mamba": Written("mamba", lambda c: alone(c) | {"ssm.dt_b_c_rms": False}, states),
    "falcon_mamba": Written("mamba", lambda c: alone(c) | {"ssm.dt_b_c_rms": True}, states),
    "mamba2": Written("mamba2", lambda c: alone(c) | {"ssm.group_count": c.n_groups}, states),
    "lfm2": Written(
        "lfm2",
        lambda c: {
            "shortconv.l_cache": c.conv_L_cache,
            "vocab_size": c.vocab_size,
            "attention.head_count_kv": [c.num_key_value_heads * is_one for is_one in kinds(c)],
        },
        states,
    ),
    "lfm2_moe": Written(
        "lfm2moe",
        lambda c: (
            moe(c)
            | {"shortconv.l_cache": c.conv_L_cache, "vocab_size": c.vocab_size}
            | {"leading_dense_block_count": c.num_dense_layers, "expert_gating_func": 2}
            | {"attention.head_count_kv": [c.num_key_value_heads * is_one for is_one in kinds(c)]}
        ),
        states,
        {"expert_bias": "expert_bias.bias"},
    ),
    "jamba": Written(
        "jamba",
        lambda c: moe(c) | hybrid(c, [kind == "attention" for kind in c.layers_block_type]) | {"ssm.time_step_rank": c.mamba_dt_rank},
        states,
    ),
    "granitemoehybrid": Written("granitehybrid", granite4, granite_hybrid),
    "falcon_h1": Written(
        "falcon-h1",
        lambda c: (
            hybrid(c, [True] * c.num_hidden_layers)
            | {f"attention.{part}_length": c.hidden_size // c.num_attention_heads for part in ("key", "value")}
            | {"ssm.inner_size": c.mamba_d_ssm, "ssm.time_step_rank": c.mamba_n_heads, "ssm.group_count": c.mamba_n_groups}
            | {"attention.head_count_kv": c.num_key_value_heads, "vocab_size": c.vocab_size}
        ),
        falcon_h1,
    ),
    "nemotron_h": Written("nemotron_h", nemotron, states),
    "nemotron_h_moe": Written("nemotron_h_moe", nemotron_moe, states, {"e_score_correction_bias": "e_score_correction.bias"}),
    "qwen3_next": Written("qwen3next", lambda c: moe(c) | head(c) | rotated(c) | nets(c) | shared(c), qwen3_next),
    "kimi_linear": Written("kimi-linear", kimi, kimi_linear, {"e_score_correction_bias": "e_score_correction.bias"}),
    "qwen3_5_text": Written("qwen35", lambda c: head(c) | rotated(c) | nets(c) | SECTIONS, qwen3_5),
    "qwen3_5_moe_text": Written("qwen35moe", lambda c: moe(c) | head(c) | rotated(c) | nets(c) | shared(c) | SECTIONS, qwen3_5),
}
