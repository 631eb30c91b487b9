"""Granite 4 (IBM 2025): Granite most of whose layers have Mamba-2 in place of attention, mostly without positions; experts beside an
MLP for every token, or that MLP alone."""

from dataclasses import replace
from typing import Any

from models.families.changes import each, mixer, where
from models.families.dense import granite, llama
from models.families.experts import granitemoe
from models.families.experts.mixtral import TRAINING, mixed
from models.families.hybrid import bamba
from models.families.recurrent import mamba2
from models.hf import Config, ConfigError
from models.recipes import Copy, Recipes
from models.spec import MLP, Arch, SoftmaxOfTop

KINDS = {"mamba": False, "linear_attention": False, "attention": True, "full_attention": True}


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.only("normalization_function", "rmsnorm")
    config.ignore(*TRAINING, *bamba.IGNORED, "init_method")
    config.only("position_embedding_type", "nope", None, "rope")
    bias = config.flag("attention_bias", False)
    base = granite.multiplied(llama.decoder(config, bias=bias, out_bias=bias), config)
    if config.anything("position_embedding_type") != "rope":
        base = each(base, lambda layer: mixer(layer, position=None))
    state = bamba.mamba2(config, base.layers[0].norm)
    attends = attending(config, len(base.layers))
    hybrid = where(base, [not is_attention for is_attention in attends], lambda layer: replace(layer, mixer=state))
    return _sparse(hybrid, config)


def attending(config: Config, count: int) -> list[bool]:
    """Which layers attend."""
    types = config.items("layer_types", str) or config.items("layers_block_type", str) or ("mamba",) * count
    if len(types) != count or set(types) - KINDS.keys():
        raise ConfigError(f"{config.where}: layer_types must say mamba or attention for each of {count} layers, not {list(types)}")
    return [KINDS[kind] for kind in types]


def _sparse(base: Arch, config: Config) -> Arch:
    shared, experts = config.integer("shared_intermediate_size", 1024), config.integer("num_local_experts", 8)
    active = config.integer("num_experts_per_tok", 2)
    if not experts:
        return each(base, lambda layer: replace(layer, ffn=MLP(hidden=shared)))
    return each(base, lambda layer: mixed(layer, experts, active, SoftmaxOfTop(), shared=shared))


_S = "model.layers.{i}.shared_mlp."

WEIGHTS: Recipes = {
    **bamba.WEIGHTS,
    **{name: recipe for name, recipe in granitemoe.WEIGHTS.items() if ".ffn." in name or ".norm2." in name},
    "layers.{i}.ffn.up.weight": Copy(_S + "input_linear.weight"),
    "layers.{i}.ffn.down.weight": Copy(_S + "output_linear.weight"),
    "norm.weight": Copy("model.norm.weight"),
}

GGUF: Recipes = {**granitemoe.GGUF, **mamba2.GGUF_STATE}

TINY: dict[str, Any] = {
    **bamba.TINY,
    "architectures": ["GraniteMoeHybridForCausalLM"],
    "model_type": "granitemoehybrid",
    "layer_types": ["linear_attention", "full_attention", "linear_attention", "full_attention"],
    "embedding_multiplier": 3.0,
    "attention_multiplier": 0.2,
    "residual_multiplier": 0.4,
    "logits_scaling": 0.6,
    "intermediate_size": 40,
    "shared_intermediate_size": 56,
    "num_local_experts": 5,
    "num_experts_per_tok": 2,
    "position_embedding_type": "rope",
}
del TINY["attn_layer_indices"]
