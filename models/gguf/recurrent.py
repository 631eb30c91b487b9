"""Architectures with states. Layers that attend have key/value heads in a list of them, where others have none."""

from models.gguf.dense import LAYER_NORM, granite, named
from models.gguf.metadata import RMS_NORM, File, Values, experts, llama_like, sizes
from models.gguf.sparse import SIGMOID, latents, qwen2_moe
from models.hf import ConfigError


def mamba(file: File) -> Values:
    """Falcon-Mamba is what norms its choices, as finely as its rows."""
    values = _alone(file) | {"time_step_rank": file.meta.integer("ssm.time_step_rank")}
    if not file.meta.flag("ssm.dt_b_c_rms", False):
        return values | named("Mamba", "mamba")
    return values | named("FalconMamba", "falcon_mamba") | {"mixer_rms_eps": values["layer_norm_epsilon"]}


def mamba2(file: File) -> Values:
    values, heads = _alone(file) | named("Mamba2", "mamba2"), file.meta.integer("ssm.time_step_rank")
    inner = values.pop("intermediate_size")
    shape = {"num_heads": heads, "head_dim": inner // heads, "expand": inner / values["hidden_size"]}
    return values | shape | {"n_groups": file.meta.integer("ssm.group_count", 1)}


def _alone(file: File) -> Values:
    meta = file.meta
    meta.ignore("context_length", "feed_forward_length", "attention.head_count", "attention.head_count_kv")
    return {
        "hidden_size": meta.integer("embedding_length"),
        "vocab_size": file.vocab,
        "num_hidden_layers": meta.integer("block_count"),
        "tie_word_embeddings": file.tied,
        "layer_norm_epsilon": meta.number(RMS_NORM),
        "intermediate_size": meta.integer("ssm.inner_size"),
        "state_size": meta.integer("ssm.state_size"),
        "conv_kernel": meta.integer("ssm.conv_kernel"),
        "use_conv_bias": _some(file, "ssm_conv1d.bias"),
        "use_bias": _some(file, "ssm_in.bias"),
    }


def lfm2(file: File) -> Values:
    return _short_convolutions(file) | named("Lfm2", "lfm2") | {"block_auto_adjust_ff_dim": False}


def lfm2_moe(file: File) -> Values:
    meta = file.meta
    meta.only("expert_gating_func", SIGMOID)
    widths = {
        "moe_intermediate_size": meta.integer("expert_feed_forward_length"),
        "num_dense_layers": meta.integer("leading_dense_block_count", 0),
    }
    scale = {"routed_scaling_factor": meta.number("expert_weights_scale", 1.0)}
    return _short_convolutions(file) | named("Lfm2Moe", "lfm2_moe") | experts(file) | widths | scale


def _short_convolutions(file: File) -> Values:
    kinds = ["full_attention" if attends else "conv" for attends in _attending(file)]
    return (
        llama_like(file)
        | named("Lfm2", "lfm2")
        | {
            "layer_types": kinds,
            "conv_bias": _some(file, "shortconv.conv.bias"),
            "conv_L_cache": file.meta.integer("shortconv.l_cache"),
        }
    )


def jamba(file: File) -> Values:
    attends, count = _attending(file), file.meta.integer("block_count")
    chosen = experts(file) if file.meta.integer("expert_count", 0) else {"num_experts": 1}
    sparse = [file.has(f"blk.{i}.ffn_gate_inp.weight") for i in range(count)]
    file.meta.ignore("expert_count", "expert_used_count")
    like = sizes(file) | {"num_key_value_heads": file.kv_heads(), "rms_norm_eps": file.meta.number(RMS_NORM)}
    values = like | _state(file) | chosen | _every("attn_layer", attends) | _every("expert_layer", sparse)
    return values | named("Jamba", "jamba") | {"mamba_dt_rank": file.meta.integer("ssm.time_step_rank")}


def granite_hybrid(file: File) -> Values:
    """Bamba's files have its name too, but rotate other pairs than Bamba does."""
    meta, values = file.meta, granite(file) | named("GraniteMoeHybrid", "granitemoehybrid") | _state(file)
    if meta.flag("rope.scaling.finetuned", False):
        raise ConfigError("GGUF files of Bamba are not read: their q and k are in no order that half a head can be rotated in")
    heads, inner = meta.integer("ssm.time_step_rank"), meta.integer("ssm.inner_size")
    values |= {"mamba_n_heads": heads, "mamba_d_head": inner // heads, "mamba_n_groups": meta.integer("ssm.group_count", 1)}
    values |= {"layer_types": ["attention" if attends else "mamba" for attends in _attending(file)]}
    meta.ignore("expert_used_count")
    if not meta.integer("expert_count", 0):
        meta.ignore("expert_shared_feed_forward_length")
        return values | {"num_local_experts": 0, "shared_intermediate_size": values["intermediate_size"]}
    shared = {"shared_intermediate_size": meta.integer("expert_shared_feed_forward_length", 0)}
    return values | experts(file, "num_local_experts") | shared


def falcon_h1(file: File) -> Values:
    """Whatever is multiplied there is so in the file."""
    values, meta = llama_like(file) | named("FalconH1", "falcon_h1") | _state(file), file.meta
    heads, inner = meta.integer("ssm.time_step_rank"), meta.integer("ssm.inner_size")
    del values["mamba_expand"]
    values |= {"mamba_n_heads": heads, "mamba_d_head": inner // heads, "mamba_n_groups": meta.integer("ssm.group_count", 1)}
    values |= {"projectors_bias": values["mamba_proj_bias"], "attention_bias": _some(file, "attn_q.bias")}
    values |= {"mlp_bias": _some(file, "ffn_up.bias"), "mamba_rms_norm": _some(file, "ssm_norm.weight")}
    return values | {"mamba_d_ssm": inner, "mamba_norm_before_gate": False}


def nemotron_h(file: File) -> Values:
    """Steps are held to no least one there."""
    meta, attends = file.meta, _attending(file)
    meta.ignore("rope.dimension_count", "rope.freq_base", "rope.scaling.finetuned", LAYER_NORM)
    meta.only("attention.value_length", meta.integer("attention.key_length"))
    widths, heads, inner = meta.anything("feed_forward_length"), meta.integer("ssm.time_step_rank"), meta.integer("ssm.inner_size")
    sparse = "expert_count" in meta.values and meta.integer("expert_count") > 0
    does = ["*" if attending else "-" if width else "M" for attending, width in zip(attends, widths, strict=True)]
    values = _alone(file) | named("NemotronH", "nemotron_h")
    values["ssm_state_size"] = values.pop("state_size")
    return (
        values
        | {
            "hybrid_override_pattern": "".join(does).replace("-", "E" if sparse else "-"),
            "intermediate_size": max(widths) or None,
            "max_position_embeddings": meta.integer("context_length"),
            "num_attention_heads": meta.integer("attention.head_count"),
            "num_key_value_heads": file.kv_heads(),
            "head_dim": meta.integer("attention.key_length"),
            "mamba_num_heads": heads,
            "mamba_head_dim": inner // heads,
            "n_groups": meta.integer("ssm.group_count", 1),
            "time_step_min": 0.0,
            "mlp_bias": _some(file, "ffn_up.bias"),
        }
        | (_nemotron_experts(file) if sparse else {})
    )


def qwen3_next(file: File) -> Values:
    return _nets(file, qwen2_moe(file)) | named("Qwen3Next", "qwen3_next")


def qwen3_5(file: File) -> Values:
    return _nets(file, llama_like(file)) | named("Qwen3_5", "qwen3_5_text")


def qwen3_5_moe(file: File) -> Values:
    file.meta.assume(feed_forward_length=file.meta.integer("expert_feed_forward_length"))
    return _nets(file, qwen2_moe(file)) | named("Qwen3_5Moe", "qwen3_5_moe_text")


def _nets(file: File, values: Values) -> Values:
    """Layers that predict further tokens are counted with the others; rows and columns of images are the text's positions."""
    meta, heads = file.meta, file.meta.integer("ssm.time_step_rank")
    meta.ignore("rope.dimension_sections")
    return values | {
        "num_hidden_layers": values["num_hidden_layers"] - meta.integer("nextn_predict_layers", 0),
        "full_attention_interval": meta.integer("full_attention_interval", 4),
        "linear_num_value_heads": heads,
        "linear_num_key_heads": meta.integer("ssm.group_count"),
        "linear_key_head_dim": meta.integer("ssm.state_size"),
        "linear_value_head_dim": meta.integer("ssm.inner_size") // heads,
        "linear_conv_kernel_dim": meta.integer("ssm.conv_kernel"),
    }


def kimi_linear(file: File) -> Values:
    """Latent attention turns nothing, whatever the file says of angles."""
    meta, attends = file.meta, _attending(file)
    meta.only("expert_gating_func", SIGMOID)
    meta.only("expert_group_count", 1)
    meta.only("expert_group_used_count", 1)
    values = sizes(file) | latents(file) | named("KimiLinear", "kimi_linear")
    del values["rope_parameters"]
    return values | {
        "layer_types": ["full_attention" if attending else "linear_attention" for attending in attends],
        "linear_num_heads": values["num_attention_heads"],
        "linear_head_dim": meta.integer("kda.head_dim"),
        "linear_conv_kernel_dim": meta.integer("ssm.conv_kernel"),
        "num_experts": meta.integer("expert_count"),
        "num_experts_per_token": meta.integer("expert_used_count"),
        "num_shared_experts": meta.integer("expert_shared_count", 1),
        "moe_intermediate_size": meta.integer("expert_feed_forward_length"),
        "moe_renormalize": meta.flag("expert_weights_norm", True),
        "routed_scaling_factor": meta.number("expert_weights_scale", 1.0),
        "first_k_dense_replace": meta.integer("leading_dense_block_count", 0),
    }


def _nemotron_experts(file: File) -> Values:
    meta = file.meta
    meta.only("expert_shared_count", 1)
    meta.only("expert_group_count", 1)
    return experts(file, "n_routed_experts") | {
        "moe_intermediate_size": meta.integer("expert_feed_forward_length"),
        "moe_shared_expert_intermediate_size": meta.integer("expert_shared_feed_forward_length"),
        "moe_latent_size": meta.optional_integer("moe_latent_size"),
        "norm_topk_prob": meta.flag("expert_weights_norm", True),
        "routed_scaling_factor": meta.number("expert_weights_scale", 1.0),
    }


def _state(file: File) -> Values:
    inner, dim = file.meta.integer("ssm.inner_size"), file.meta.integer("embedding_length")
    return {
        "mamba_expand": inner // dim if inner % dim == 0 else inner / dim,
        "mamba_d_state": file.meta.integer("ssm.state_size"),
        "mamba_d_conv": file.meta.integer("ssm.conv_kernel"),
        "mamba_conv_bias": _some(file, "ssm_conv1d.bias"),
        "mamba_proj_bias": _some(file, "ssm_in.bias"),
    }


def _some(file: File, tensor: str) -> bool:
    """Whether some layer has it."""
    return any(name.endswith(tensor) for name in file.tensors)


def _attending(file: File) -> list[bool]:
    """Of each layer."""
    heads, count = file.meta.anything("attention.head_count_kv"), file.meta.integer("block_count")
    return [bool(n) for n in (heads if isinstance(heads, list) else [heads] * count)]


def _every(name: str, which: list[bool]) -> Values:
    """Which layers, as every so many from an offset on. Raises ConfigError where they are none such."""
    found = [i for i, is_one in enumerate(which) if is_one] or [len(which)]
    period, offset = (found[1] - found[0] if len(found) > 1 else len(which) + 1), found[0]
    if [i % period == offset for i in range(len(which))] != which:
        raise ConfigError(f"GGUF metadata: layers {found} are not every so many, as {name}s are")
    return {f"{name}_period": period, f"{name}_offset": offset}
