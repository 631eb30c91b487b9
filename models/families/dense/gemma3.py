"""Gemma 3, text only (arXiv 2503.19786): Gemma 2 with a norm on the heads of q and k instead of a cap on the scores, and
a RoPE of their own for local layers."""

from typing import Any

from models.families.changes import each, masked, mixer, pattern, sliding, where
from models.families.dense import gemma, gemma2, qwen3
from models.hf import Config, rope
from models.recipes import Copy, Recipes
from models.spec import Arch, QKNorm, Rope, Window


def arch(config: Config) -> Arch:
    config.only("use_bidirectional_attention", False)
    config.assume(rope_theta=1_000_000.0, num_key_value_heads=4, **_FIRST)
    base = each(gemma2.decoder(config), lambda layer: mixer(layer, qk_norm=QKNorm(norm=layer.norm)))
    window, position = Window(size=config.integer("sliding_window")), _local_rope(config, config.integer("head_dim"))
    return where(base, _locals(config, len(base.layers)), lambda layer: masked(mixer(layer, position=position), window))


# what files of the larger models leave out
_FIRST = {"vocab_size": 262_208, "num_attention_heads": 8, "max_position_embeddings": 131_072}


def _local_rope(config: Config, dim: int) -> Rope:
    """One that no scaling stretches."""
    base, parts = config.number("rope_local_base_freq", 10_000.0), config.part("rope_parameters")
    return rope(config, dim, "sliding_attention") if parts else Rope(dim=dim, base=base)


def _locals(config: Config, count: int) -> tuple[bool, ...]:
    """By `layer_types`, or all but each last of a pattern."""
    every = config.integer("sliding_window_pattern", config.integer("_sliding_window_pattern", 6))
    return sliding(config.items("layer_types", str) or pattern(every, count), count)


_A = "model.layers.{i}.self_attn."

WEIGHTS: Recipes = {
    **gemma2.WEIGHTS,
    "layers.{i}.mixer.q_norm.weight": gemma.shifted(_A + "q_norm.weight"),
    "layers.{i}.mixer.k_norm.weight": gemma.shifted(_A + "k_norm.weight"),
}

GGUF: Recipes = {
    **qwen3.GGUF,
    "layers.{i}.norm1_post.weight": Copy("blk.{i}.post_attention_norm.weight"),
    "layers.{i}.norm2_post.weight": Copy("blk.{i}.post_ffw_norm.weight"),
}

TINY: dict[str, Any] = {
    **gemma2.TINY,
    "architectures": ["Gemma3ForCausalLM"],
    "model_type": "gemma3_text",
    "num_hidden_layers": 4,
    "head_dim": 24,
    "query_pre_attn_scalar": 20,
    "sliding_window": 5,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
    "attn_logit_softcapping": None,
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1_000_000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    },
}
