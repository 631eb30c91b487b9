"""Architectures with experts or latent attention."""

from models.gguf.dense import LAYER_NORM, granite, named
from models.gguf.metadata import File, Values, experts, llama_like, rope, sizes

SIGMOID = 2  # expert_gating_func


def qwen2_moe(file: File) -> Values:
    like = llama_like(file) | named("Qwen2Moe", "qwen2_moe") | experts(file) | _narrow(file)
    return like | {"shared_expert_intermediate_size": file.meta.integer("expert_shared_feed_forward_length")}


def qwen3_moe(file: File) -> Values:
    return llama_like(file) | named("Qwen3Moe", "qwen3_moe") | experts(file) | _narrow(file) | {"norm_topk_prob": True}


def _narrow(file: File) -> Values:
    return {"moe_intermediate_size": file.meta.integer("expert_feed_forward_length")}


def olmoe(file: File) -> Values:
    clip = {"clip_qkv": file.meta.optional_number("attention.clamp_kqv")}
    return llama_like(file) | named("Olmoe", "olmoe") | experts(file) | clip


def gpt_oss(file: File) -> Values:
    """Its YaRN does not round the borders, which no file says."""
    like, meta = llama_like(file) | named("GptOss", "gpt_oss") | experts(file, "num_local_experts"), file.meta
    hidden, window = meta.integer("expert_feed_forward_length"), meta.integer("attention.sliding_window")
    ropes = like["rope_parameters"] | ({"truncate": False} if "factor" in like["rope_parameters"] else {})
    return like | {"intermediate_size": hidden, "sliding_window": window, "rope_parameters": ropes}


def granite_moe(file: File) -> Values:
    values = granite(file) | named("GraniteMoe", "granitemoe") | experts(file, "num_local_experts")
    shared = file.meta.optional_integer("expert_shared_feed_forward_length")
    if not shared:
        return values
    return values | named("GraniteMoeShared", "granitemoeshared") | {"shared_intermediate_size": shared}


def phimoe(file: File) -> Values:
    values = llama_like(file) | named("Phimoe", "phimoe") | experts(file, "num_local_experts")
    window, hidden = file.meta.optional_integer("attention.sliding_window"), file.meta.optional_integer("expert_feed_forward_length")
    file.meta.ignore(LAYER_NORM)  # beside the other one, and equal to it
    bias = {"attention_bias": file.has("blk.0.attn_q.bias"), "lm_head_bias": file.has("output.bias")}
    return values | bias | {"sliding_window": window or None} | ({"intermediate_size": hidden} if hidden else {})


def llama4(file: File) -> Values:
    """Chunks, the temperature and who norms its queries stand in no file: as Meta published them."""
    values, meta = llama_like(file) | named("Llama4", "llama4_text") | experts(file, "num_local_experts"), file.meta
    meta.only("attention.sliding_window", 8192)
    step = meta.integer("interleave_moe_layer_step", 1)
    return values | {
        "intermediate_size_mlp": values["intermediate_size"],
        "intermediate_size": meta.integer("expert_feed_forward_length"),
        "interleave_moe_layer_step": step,
        "attention_chunk_size": 8192,
        "use_qk_norm": values["num_local_experts"] != 128,
    }


def deepseek(file: File) -> Values:
    """V3's router takes sigmoids, V2's does not. Newer files hold keys and values of the latents apart, and say then how long a
    head is beside how long its latents are."""
    meta, size = file.meta, sizes(file)
    third = meta.integer("expert_gating_func", 1) == SIGMOID or any(name.endswith("exp_probs_b.bias") for name in file.tensors)
    shared = {"n_shared_experts": meta.integer("expert_shared_count", 0), "norm_topk_prob": meta.flag("expert_weights_norm", False)}
    scale = {"routed_scaling_factor": meta.number("expert_weights_scale", 1.0)}
    values = size | latents(file) | experts(file, "n_routed_experts") | _narrow(file) | shared | scale | _groups(file, third)
    values["first_k_dense_replace"] = meta.integer("leading_dense_block_count", 0)
    return values | (named("DeepseekV3", "deepseek_v3") if third else named("DeepseekV2", "deepseek_v2"))


def _groups(file: File, third: bool) -> Values:
    count, active = file.meta.integer("expert_group_count", 1), file.meta.integer("expert_group_used_count", 1)
    several = {"n_group": count, "topk_group": active}
    if third:
        return several
    return several | {"topk_method": "group_limited_greedy"} if count > 1 else {"topk_method": "greedy"}


def latents(file: File) -> Values:
    meta = file.meta
    rotated = meta.integer("rope.dimension_count")
    key, value = meta.optional_integer("attention.key_length_mla"), meta.optional_integer("attention.value_length_mla")
    stated = meta.optional_integer("attention.key_length"), meta.optional_integer("attention.value_length")
    meta.ignore("attention.head_count_kv")
    ropes = rope(file, rotated)
    if log := meta.optional_number("rope.scaling.yarn_log_multiplier"):
        ropes |= {"mscale": round(10 * log, 6), "mscale_all_dim": round(10 * log, 6)}
    return {
        "rms_norm_eps": meta.number("attention.layer_norm_rms_epsilon"),
        "q_lora_rank": meta.optional_integer("attention.q_lora_rank"),
        "kv_lora_rank": meta.integer("attention.kv_lora_rank"),
        "qk_rope_head_dim": rotated,
        "qk_nope_head_dim": (key or stated[0] or 0) - rotated,
        "v_head_dim": value or stated[1],
        "rope_parameters": ropes,
    }


def minicpm3(file: File) -> Values:
    """How embedding, branches and logits are scaled stands in no file: as in OpenBMB's own."""
    scales = {"scale_emb": 12.0, "scale_depth": 1.4, "dim_model_base": 256}
    return sizes(file) | latents(file) | named("MiniCPM3", "minicpm3") | scales
