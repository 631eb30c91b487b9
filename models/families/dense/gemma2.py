"""Gemma 2 (arXiv 2408.00118): Gemma with norms before and after each part, caps on scores and logits, and a window in
every other layer."""

from dataclasses import replace
from typing import Any

from models.families.changes import each, masked, mixer, pattern, sliding, where
from models.families.dense import gemma
from models.hf import Config
from models.recipes import Copy, Recipes
from models.spec import Arch, Next, Window


def arch(config: Config) -> Arch:
    config.only("use_bidirectional_attention", False)
    config.assume(num_key_value_heads=4, final_logit_softcapping=30.0, attn_logit_softcapping=50.0)
    base = decoder(config)
    local = sliding(config.items("layer_types", str) or pattern(2, len(base.layers)), len(base.layers))
    window = Window(size=config.integer("sliding_window"))
    config.ignore("cache_implementation")
    return where(base, local, lambda layer: masked(layer, window))


def decoder(config: Config) -> Arch:
    """All layers global."""
    config.assume(sliding_window=4096)
    base = gemma.decoder(config)
    scale, cap = config.number("query_pre_attn_scalar", 256) ** -0.5, config.optional_number("attn_logit_softcapping")
    sandwiched = each(base, lambda layer: replace(mixer(layer, scale=scale, softcap=cap), placement="sandwich"))
    return replace(sandwiched, output=Next(softcap=config.optional_number("final_logit_softcapping")))


_L = "model.layers.{i}."

WEIGHTS: Recipes = {
    **gemma.WEIGHTS,
    "layers.{i}.norm1_post.weight": gemma.shifted(_L + "post_attention_layernorm.weight"),
    "layers.{i}.norm2.weight": gemma.shifted(_L + "pre_feedforward_layernorm.weight"),
    "layers.{i}.norm2_post.weight": gemma.shifted(_L + "post_feedforward_layernorm.weight"),
}

GGUF: Recipes = {
    **gemma.GGUF,
    "layers.{i}.norm1_post.weight": Copy("blk.{i}.post_attention_norm.weight"),
    "layers.{i}.norm2_post.weight": Copy("blk.{i}.post_ffw_norm.weight"),
}

TINY: dict[str, Any] = {
    **gemma.TINY,
    "architectures": ["Gemma2ForCausalLM"],
    "model_type": "gemma2",
    "query_pre_attn_scalar": 20,
    "sliding_window": 5,
    "final_logit_softcapping": 3.0,
    "attn_logit_softcapping": 1.5,
}
