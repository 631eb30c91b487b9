"""Granite 3 MoE (IBM 2024): Granite with experts whose matrices lie together on disk; the shared variant has one more MLP
that computes every token."""

from typing import Any

from models.families.changes import each
from models.families.dense import granite, llama
from models.families.experts.mixtral import TRAINING, mixed
from models.hf import Config
from models.recipes import Copy, Recipes
from models.spec import Arch, SoftmaxOfTop


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.ignore(*TRAINING)
    bias, shared = config.flag("attention_bias", False), config.integer("shared_intermediate_size", 0)
    experts, active = config.integer("num_local_experts", 8), config.integer("num_experts_per_tok", 2)
    base = granite.multiplied(llama.decoder(config, bias=bias, out_bias=bias), config)
    return each(base, lambda layer: mixed(layer, experts, active, SoftmaxOfTop(), shared=shared))


_M, _S = "model.layers.{i}.block_sparse_moe.", "model.layers.{i}.shared_mlp."

WEIGHTS: Recipes = {
    **llama.WEIGHTS,
    "layers.{i}.ffn.router.weight": Copy(_M + "router.layer.weight"),
    "layers.{i}.ffn.experts.up": Copy(_M + "input_linear.weight"),
    "layers.{i}.ffn.experts.down": Copy(_M + "output_linear.weight"),
    "layers.{i}.ffn.shared.up.weight": Copy(_S + "input_linear.weight"),
    "layers.{i}.ffn.shared.down.weight": Copy(_S + "output_linear.weight"),
}

GGUF: Recipes = {**llama.GGUF, **llama.GGUF_EXPERTS}

TINY: dict[str, Any] = {
    **granite.TINY,
    "architectures": ["GraniteMoeForCausalLM"],
    "model_type": "granitemoe",
    "intermediate_size": 40,
    "num_local_experts": 5,
    "num_experts_per_tok": 2,
}
