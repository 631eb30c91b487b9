"""Jamba (AI21 2024, arXiv 2403.19887): Mamba with normed choices, every so many layers attention without positions, and in some
layers experts."""

from dataclasses import replace
from math import ceil
from typing import Any

from models.families.changes import each, mixer, where
from models.families.dense import llama
from models.families.experts.mixtral import TRAINING, gate_up, mixed
from models.families.recurrent import mamba
from models.hf import Config
from models.recipes import Cat, Copy, First, PerExpert, Recipes, both
from models.spec import Arch, Layer, Mamba, Softmax


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.only("mamba_inner_layernorms", True)
    config.only("sliding_window", None)
    config.ignore(*TRAINING, *mamba.TRAINING, "use_mamba_kernels", "num_logits_to_keep", "calc_logits_for_entire_prompt")
    config.assume(num_key_value_heads=8, max_position_embeddings=config.integer("n_ctx", 262_144))
    base = each(llama.decoder(config), lambda layer: mixer(layer, position=None))
    state = _state(config, base.layers[0])
    attends = _each_of(config, "attn_layer", 8, 4, len(base.layers))
    hybrid = where(base, [not is_attention for is_attention in attends], lambda layer: replace(layer, mixer=state))
    experts, active = config.integer("num_experts", 16), config.integer("num_experts_per_tok", 2)
    chosen = [experts > 1 and has for has in _each_of(config, "expert_layer", 2, 1, len(base.layers))]
    return where(hybrid, chosen, lambda layer: mixed(layer, experts, active, Softmax()))


def _state(config: Config, layer: Layer) -> Mamba:
    dim = config.integer("hidden_size")
    return Mamba(
        inner=config.integer("mamba_expand", 2) * dim,
        state=config.integer("mamba_d_state", 16),
        rank=ceil(dim / 16) if config.anything("mamba_dt_rank") in (None, "auto") else config.integer("mamba_dt_rank"),
        kernel=config.integer("mamba_d_conv", 4),
        conv_bias=config.flag("mamba_conv_bias", True),
        bias=config.flag("mamba_proj_bias", False),
        norm=layer.norm,
    )


def _each_of(config: Config, name: str, period: int, offset: int, count: int) -> list[bool]:
    """Every so many layers, from an offset on."""
    period, offset = config.integer(f"{name}_period", period), config.integer(f"{name}_offset", offset)
    return [i % period == offset for i in range(count)]


_L = "model.layers.{i}."
_M, _F = _L + "mamba.", _L + "feed_forward."

# a hybrid's parts that several families name alike
FRAME: Recipes = {
    **{name: recipe for name, recipe in llama.WEIGHTS.items() if ".ffn." not in name},
    **mamba.state(_M),
    **{
        f"layers.{{i}}.mixer.out.{field}": First((Copy(f"{_M}out_proj.{field}"), Copy(f"{_L}self_attn.o_proj.{field}")))
        for field in ("weight", "bias")
    },
    "layers.{i}.norm2.weight": Copy(_L + "pre_ff_layernorm.weight"),
    **{f"layers.{{i}}.ffn.up.{field}": Cat((Copy(f"{_F}gate_proj.{field}"), Copy(f"{_F}up_proj.{field}"))) for field in ("weight", "bias")},
    **both("layers.{i}.ffn.down", _F + "down_proj"),
    "norm.weight": Copy("model.final_layernorm.weight"),
}

WEIGHTS: Recipes = {
    **FRAME,
    "layers.{i}.mixer.choose.weight": Copy(_M + "x_proj.weight"),
    **both("layers.{i}.mixer.step", _M + "dt_proj"),
    "layers.{i}.mixer.step_norm.weight": Copy(_M + "dt_layernorm.weight"),
    "layers.{i}.mixer.in_norm.weight": Copy(_M + "b_layernorm.weight"),
    "layers.{i}.mixer.out_norm.weight": Copy(_M + "c_layernorm.weight"),
    "layers.{i}.ffn.router.weight": Copy(_F + "router.weight"),
    "layers.{i}.ffn.experts.up": gate_up(_F + "experts.{e}.gate_proj.weight", _F + "experts.{e}.up_proj.weight"),
    "layers.{i}.ffn.experts.down": PerExpert(Copy(_F + "experts.{e}.down_proj.weight")),
}

_B = "blk.{i}."

GGUF: Recipes = {
    **llama.GGUF_PLAIN,
    **llama.GGUF_EXPERTS,
    **mamba.GGUF_STATE,
    **mamba.GGUF_CHOICES,
    "layers.{i}.mixer.step_norm.weight": Copy(_B + "ssm_dt_norm.weight"),
    "layers.{i}.mixer.in_norm.weight": Copy(_B + "ssm_b_norm.weight"),
    "layers.{i}.mixer.out_norm.weight": Copy(_B + "ssm_c_norm.weight"),
}

TINY: dict[str, Any] = {
    "architectures": ["JambaForCausalLM"],
    "model_type": "jamba",
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 256,
    "max_position_embeddings": 128,
    "attn_layer_period": 3,
    "attn_layer_offset": 1,
    "expert_layer_period": 2,
    "expert_layer_offset": 1,
    "num_experts": 5,
    "num_experts_per_tok": 2,
    "mamba_d_state": 5,
    "mamba_d_conv": 3,
    "mamba_expand": 2,
    "mamba_dt_rank": 7,
    "mamba_proj_bias": True,
    "tie_word_embeddings": False,
}
