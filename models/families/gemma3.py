"""Gemma 3, text only (arXiv 2503.19786): norms before and after each part, most layers local with a RoPE of their own,
norm on the heads of q and k, embeddings scaled by sqrt(dim). Checkpoints of Hugging Face store norm weights minus 1."""

from dataclasses import replace
from typing import Any

from models.families import llama, qwen3
from models.families.mistral import masked
from models.families.qwen2 import sliding
from models.hf import Config, rope
from models.spec import Arch, Layer, Rope, Window
from models.weights import Copy, Recipe, Recipes, Shift


def arch(config: Config) -> Arch:
    for key in ("hidden_activation", "hidden_act"):
        config.only(key, "gelu_pytorch_tanh")
    config.only("use_bidirectional_attention", False)
    config.assume(rope_theta=1_000_000.0, head_dim=256, num_key_value_heads=4, sliding_window=4096, tie_word_embeddings=True)
    bias = config.flag("attention_bias", False)
    base = replace(llama.decoder(config, bias=bias, out_bias=bias), embed_scale=config.integer("hidden_size") ** 0.5)
    base = replace(base, logit_softcap=config.optional_number("final_logit_softcapping"))
    glob = _global(base, config)
    local = _local(glob, config)
    return replace(base, layers=tuple(local if is_local else glob for is_local in _locals(config, len(base.layers))))


def _global(base: Arch, config: Config) -> Layer:
    layer = base.layers[0]
    scale, cap = config.number("query_pre_attn_scalar", 256) ** -0.5, config.optional_number("attn_logit_softcapping")
    mixer = replace(layer.mixer, qk_norm=base.norm, scale=scale, softcap=cap)
    return replace(layer, mixer=mixer, ffn=replace(layer.ffn, activation="gelu_tanh"), placement="sandwich")


def _local(layer: Layer, config: Config) -> Layer:
    """A window, and a RoPE that no scaling stretches."""
    local = masked(layer, Window(size=config.integer("sliding_window")))
    return replace(local, mixer=replace(local.mixer, position=_local_rope(config, config.integer("head_dim"))))


def _local_rope(config: Config, dim: int) -> Rope:
    base, parts = config.number("rope_local_base_freq", 10_000.0), config.part("rope_parameters")
    return rope(config, dim, "sliding_attention") if parts else Rope(dim=dim, base=base)


def _locals(config: Config, count: int) -> tuple[bool, ...]:
    """By `layer_types`, or all but each last of a pattern."""
    every = config.integer("sliding_window_pattern", config.integer("_sliding_window_pattern", 6))
    older = tuple("sliding_attention" if (i + 1) % every else "full_attention" for i in range(count))
    return sliding(config.items("layer_types", str) or older, count)


def _shifted(source: str) -> Recipe:
    return Shift(Copy(source), 1.0)


_L, _A = "model.layers.{i}.", "model.layers.{i}.self_attn."

WEIGHTS: Recipes = {
    **llama.WEIGHTS,
    "layers.{i}.norm1.weight": _shifted(_L + "input_layernorm.weight"),
    "layers.{i}.norm1_post.weight": _shifted(_L + "post_attention_layernorm.weight"),
    "layers.{i}.norm2.weight": _shifted(_L + "pre_feedforward_layernorm.weight"),
    "layers.{i}.norm2_post.weight": _shifted(_L + "post_feedforward_layernorm.weight"),
    "layers.{i}.mixer.q_norm.weight": _shifted(_A + "q_norm.weight"),
    "layers.{i}.mixer.k_norm.weight": _shifted(_A + "k_norm.weight"),
    "norm.weight": _shifted("model.norm.weight"),
}

GGUF: Recipes = {
    **qwen3.GGUF,
    "layers.{i}.norm1_post.weight": Copy("blk.{i}.post_attention_norm.weight"),
    "layers.{i}.norm2_post.weight": Copy("blk.{i}.post_ffw_norm.weight"),
}

TINY: dict[str, Any] = {
    **llama.TINY,
    "architectures": ["Gemma3ForCausalLM"],
    "model_type": "gemma3_text",
    "num_hidden_layers": 4,
    "head_dim": 24,
    "query_pre_attn_scalar": 20,
    "sliding_window": 5,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1_000_000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    },
    "final_logit_softcapping": 3.0,
    "tie_word_embeddings": True,
}
