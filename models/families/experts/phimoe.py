"""Phi-3.5-MoE (arXiv 2404.14219): Phi-3 between LayerNorms with biases, two of sixteen experts chosen by SparseMixer,
LongRoPE, a bias on the head."""

from dataclasses import replace
from typing import Any

from models.families.changes import each
from models.families.dense import llama
from models.families.dense.mistral import windowed
from models.families.experts import mixtral
from models.families.experts.mixtral import TRAINING, mixed
from models.hf import Config
from models.recipes import Copy, Recipes
from models.spec import Arch, Next, Norm, SparseMixer


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.assume(num_key_value_heads=8, rope_theta=1_000_000.0, rms_norm_eps=1e-5)
    config.ignore("input_jitter_noise", "hidden_dropout", "original_max_position_embeddings")
    router = SparseMixer(jitter=config.number("router_jitter_noise", 0.01))
    config.ignore(*TRAINING)
    bias, experts, active = config.flag("attention_bias", False), config.integer("num_local_experts", 16), 2
    config.only("num_experts_per_tok", active)
    base = windowed(llama.decoder(config, bias=bias, out_bias=bias), config)
    norm = Norm(kind="layer", eps=config.number("rms_norm_eps"))
    arch = each(base, lambda layer: replace(mixed(layer, experts, active, router), norm=norm))
    return replace(arch, norm=norm, output=Next(bias=config.flag("lm_head_bias", False)))


_L = "model.layers.{i}."

WEIGHTS: Recipes = {
    **mixtral.WEIGHTS,
    "layers.{i}.norm1.bias": Copy(_L + "input_layernorm.bias"),
    "layers.{i}.norm2.bias": Copy(_L + "post_attention_layernorm.bias"),
    "norm.bias": Copy("model.norm.bias"),
    "head.bias": Copy("lm_head.bias"),
}

GGUF: Recipes = {
    **llama.GGUF_PLAIN,
    **llama.GGUF_EXPERTS,
    "layers.{i}.norm1.bias": Copy("blk.{i}.attn_norm.bias"),
    "layers.{i}.norm2.bias": Copy("blk.{i}.ffn_norm.bias"),
    "norm.bias": Copy("output_norm.bias"),
    "head.bias": Copy("output.bias"),
}

TINY: dict[str, Any] = {
    **llama.TINY,
    "architectures": ["PhimoeForCausalLM"],
    "model_type": "phimoe",
    "attention_bias": True,
    "lm_head_bias": True,
    "intermediate_size": 40,
    "num_local_experts": 5,
    "num_experts_per_tok": 2,
    "router_jitter_noise": 0.3,
    "original_max_position_embeddings": 16,
    "sliding_window": 9,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10_000.0,
        "short_factor": [1.0, 1.0, 1.1, 1.2, 1.3, 1.5, 1.6, 2.0],
        "long_factor": [1.0, 1.0, 2.0, 2.5, 3.0, 5.0, 7.0, 8.0],
        "short_mscale": 1.1,
        "long_mscale": 1.3,
        "original_max_position_embeddings": 16,
    },
}
