"""OLMo 2 (arXiv 2501.00656): norms behind the parts instead of before them, and on all of q and all of k."""

from dataclasses import replace
from typing import Any

from models.families.changes import each, mixer
from models.families.dense import llama
from models.hf import Config
from models.recipes import Copy, Recipes
from models.spec import Arch, QKNorm


def arch(config: Config) -> Arch:
    return decoder(config)


def decoder(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.assume(rms_norm_eps=1e-5)
    bias = config.flag("attention_bias", False)
    base = llama.decoder(config, bias=bias, out_bias=bias)
    return each(base, lambda layer: replace(mixer(layer, qk_norm=QKNorm(norm=layer.norm, over="projection")), placement="after"))


_L = "model.layers.{i}."

WEIGHTS: Recipes = {
    **llama.WEIGHTS,
    "layers.{i}.norm1_post.weight": Copy(_L + "post_attention_layernorm.weight"),
    "layers.{i}.norm2_post.weight": Copy(_L + "post_feedforward_layernorm.weight"),
    "layers.{i}.mixer.q_norm.weight": Copy(_L + "self_attn.q_norm.weight"),
    "layers.{i}.mixer.k_norm.weight": Copy(_L + "self_attn.k_norm.weight"),
}

GGUF: Recipes = {
    **llama.GGUF_PLAIN,
    "layers.{i}.norm1_post.weight": Copy("blk.{i}.post_attention_norm.weight"),
    "layers.{i}.norm2_post.weight": Copy("blk.{i}.post_ffw_norm.weight"),
    "layers.{i}.mixer.q_norm.weight": Copy("blk.{i}.attn_q_norm.weight"),
    "layers.{i}.mixer.k_norm.weight": Copy("blk.{i}.attn_k_norm.weight"),
}

TINY: dict[str, Any] = llama.TINY | {"architectures": ["Olmo2ForCausalLM"], "model_type": "olmo2", "pad_token_id": 0}
