"""Qwen3-MoE (arXiv 2505.09388): Qwen3 with many narrow experts and none that all tokens share."""

from typing import Any

from models.families.changes import each, mixer
from models.families.dense import llama, qwen2, qwen3
from models.families.experts import qwen2_moe
from models.hf import Config
from models.recipes import Recipes
from models.spec import Arch, QKNorm

WEIGHTS: Recipes = {**qwen3.WEIGHTS, **qwen2_moe.EXPERTS}
GGUF: Recipes = {**qwen3.GGUF, **llama.GGUF_EXPERTS}


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.assume(num_key_value_heads=4)
    bias = config.flag("attention_bias", False)
    base = qwen2.windowed(llama.decoder(config, bias=bias, out_bias=bias), config)
    normed = each(base, lambda layer: mixer(layer, qk_norm=QKNorm(norm=layer.norm)))
    count = config.integer("num_experts", config.integer("num_local_experts", 128))
    return qwen2_moe.sparse(normed, qwen2_moe.experts(config, count, 8), config)


TINY: dict[str, Any] = {
    **llama.TINY,
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "num_hidden_layers": 4,
    "head_dim": 32,
    "num_experts": 7,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 40,
    "norm_topk_prob": True,
    "decoder_sparse_step": 2,
}
