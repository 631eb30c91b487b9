"""What `stoa pull` makes of a GGUF file's metadata: a config.json in Hugging Face's form."""

from collections.abc import Iterator, Mapping
from math import log
from typing import Any

from gguf import GGUFReader
from gguf.gguf_reader import ReaderField, ReaderTensor

from models.hf import Config, ConfigError

ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "gemma3": "Gemma3ForCausalLM",
}
_GEMMA_27B_LAYERS = 62


def config_from_metadata(reader: GGUFReader, *pieces: GGUFReader) -> dict[str, Any]:
    """config.json for the model in `reader` (and `pieces`, where it is split). Raises ConfigError when the file
    describes an architecture that is not supported, or says something about it that nobody here reads."""
    kind = _value(reader.fields["general.architecture"])
    if kind not in ARCHITECTURES:
        raise ConfigError(f"GGUF architecture {kind!r} is not supported, only {', '.join(ARCHITECTURES)}")
    meta = Config(dict(_metadata(reader, kind)), f"GGUF metadata of {kind}")
    tensors = {tensor.name: tensor for part in (reader, *pieces) for tensor in part.tensors}
    config = {"architectures": [ARCHITECTURES[kind]], "model_type": kind} | _common(meta, tensors) | _token_ids(reader)
    config |= _gemma3(meta, config) if kind == "gemma3" else _plain(meta, tensors)
    meta.finish()
    return config


def _common(meta: Config, tensors: Mapping[str, ReaderTensor]) -> dict[str, Any]:
    dim, heads = meta.integer("embedding_length"), meta.integer("attention.head_count")
    head_dim = meta.integer("attention.key_length", dim // heads)
    meta.only("attention.value_length", head_dim)
    vocab = int(tensors["token_embd.weight"].shape[1])
    meta.only("vocab_size", vocab)
    return {
        "hidden_size": dim,
        "vocab_size": vocab,
        "num_hidden_layers": meta.integer("block_count"),
        "intermediate_size": meta.integer("feed_forward_length"),
        "num_attention_heads": heads,
        "num_key_value_heads": meta.integer("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "rms_norm_eps": meta.number("attention.layer_norm_rms_epsilon"),
        "max_position_embeddings": meta.integer("context_length"),
        "rope_parameters": _rope(meta, tensors, head_dim),
        "tie_word_embeddings": "output.weight" not in tensors,
    }


def _rope(meta: Config, tensors: Mapping[str, ReaderTensor], head_dim: int) -> dict[str, Any]:
    rope: dict[str, Any] = {"rope_theta": meta.number("rope.freq_base", 10_000.0)}
    rotated = meta.integer("rope.dimension_count", head_dim)
    if rotated != head_dim:
        rope["partial_rotary_factor"] = rotated / head_dim
    if "rope_freqs.weight" in tensors:
        return rope | {"rope_type": "divided", "factors": [float(f) for f in tensors["rope_freqs.weight"].data]}
    kind = meta.text("rope.scaling.type", "none")
    if kind == "none":
        return rope
    rope |= {"rope_type": kind, "factor": meta.number("rope.scaling.factor")}
    return rope | _yarn(meta, rope["factor"]) if kind == "yarn" else rope


def _yarn(meta: Config, factor: float) -> dict[str, Any]:
    """GGUF's attn_factor comes on top of YaRN's own amplitude; Hugging Face's attention_factor replaces it."""
    yarn: dict[str, Any] = {"original_max_position_embeddings": meta.integer("rope.scaling.original_context_length")}
    for ours, theirs in (("beta_fast", "yarn_beta_fast"), ("beta_slow", "yarn_beta_slow")):
        yarn[ours] = meta.optional_number(f"rope.scaling.{theirs}")
    more = meta.number("rope.scaling.attn_factor", 1.0)
    return yarn if more == 1 else yarn | {"attention_factor": more * (0.1 * log(factor) + 1)}


def _plain(meta: Config, tensors: Mapping[str, ReaderTensor]) -> dict[str, Any]:
    """llama, qwen2, qwen3. What has a window but calls itself llama is a Mistral."""
    window = meta.optional_integer("attention.sliding_window")
    if window is not None:
        return {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": window}
    if meta.where.endswith("llama"):
        return {"attention_bias": "blk.0.attn_q.bias" in tensors, "mlp_bias": "blk.0.ffn_up.bias" in tensors}
    return {}


def _gemma3(meta: Config, common: Mapping[str, Any]) -> dict[str, Any]:
    """Which layers are local and how queries are scaled stands in no file: both are as Google published them."""
    rope, layers = common["rope_parameters"], common["num_hidden_layers"]
    local = {"rope_theta": meta.number("rope.freq_base_swa", 10_000.0)}
    per_head = common["head_dim"] if layers != _GEMMA_27B_LAYERS else common["hidden_size"] // common["num_attention_heads"]
    return {
        "model_type": "gemma3_text",
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": per_head,
        "sliding_window": meta.integer("attention.sliding_window"),
        "sliding_window_pattern": meta.integer("attention.sliding_window_pattern", 6),
        "rope_parameters": {"full_attention": rope, "sliding_attention": local},
        "attn_logit_softcapping": meta.optional_number("attn_logit_softcapping"),
        "final_logit_softcapping": meta.optional_number("final_logit_softcapping"),
    }


def _token_ids(reader: GGUFReader) -> dict[str, int]:
    names = {role: f"tokenizer.ggml.{short}_token_id" for role, short in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))}
    return {f"{role}_token_id": _value(reader.fields[name]) for role, name in names.items() if name in reader.fields}


def _metadata(reader: GGUFReader, kind: str) -> Iterator[tuple[str, Any]]:
    """The fields about the architecture, without their prefix."""
    for name, field in reader.fields.items():
        if name.startswith(f"{kind}."):
            yield name.removeprefix(f"{kind}."), _value(field)


def _value(field: ReaderField) -> Any:
    """Floats are stored in 32 bits: seven digits bring back what was meant (1e-05, not 9.999999747378752e-06)."""
    value = field.contents()
    return float(f"{value:.7g}") if isinstance(value, float) else value
