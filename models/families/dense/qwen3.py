"""Qwen3, dense (arXiv 2505.09388): Qwen2 without the biases, but with an RMSNorm on each head of q and k."""

from typing import Any

from models.families.changes import each, mixer
from models.families.dense import llama
from models.families.dense.qwen2 import windowed
from models.hf import Config
from models.recipes import Copy, Recipes
from models.spec import Arch, QKNorm


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.assume(head_dim=128)
    bias = config.flag("attention_bias", False)
    base = windowed(llama.decoder(config, bias=bias, out_bias=bias), config)
    return each(base, lambda layer: mixer(layer, qk_norm=QKNorm(norm=layer.norm)))


WEIGHTS: Recipes = {
    **llama.WEIGHTS,
    "layers.{i}.mixer.q_norm.weight": Copy("model.layers.{i}.self_attn.q_norm.weight"),
    "layers.{i}.mixer.k_norm.weight": Copy("model.layers.{i}.self_attn.k_norm.weight"),
}

GGUF: Recipes = {
    **llama.GGUF_PLAIN,
    "layers.{i}.mixer.q_norm.weight": Copy("blk.{i}.attn_q_norm.weight"),
    "layers.{i}.mixer.k_norm.weight": Copy("blk.{i}.attn_k_norm.weight"),
}

TINY: dict[str, Any] = llama.TINY | {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 32}
