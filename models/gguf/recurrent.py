"""Architectures with states. Layers that attend have key/value heads in a list of them, where others have none."""

from models.gguf.dense import granite, named
from models.gguf.metadata import RMS_NORM, File, Values, experts, llama_like, sizes
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
    kinds = ["full_attention" if attends else "conv" for attends in _attending(file)]
    return (
        llama_like(file)
        | named("Lfm2", "lfm2")
        | {
            "layer_types": kinds,
            "block_auto_adjust_ff_dim": False,
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
