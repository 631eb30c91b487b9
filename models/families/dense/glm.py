"""GLM-4 of 2024 (arXiv 2406.12793): Llama with biases on q, k and v, and neighbours rotated in the first half of a head."""

from typing import Any

from models.families.dense import llama
from models.hf import Config
from models.recipes import Copy, Recipes
from models.spec import Arch


def arch(config: Config) -> Arch:
    return decoder(config)


def decoder(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.assume(partial_rotary_factor=0.5, head_dim=128, num_key_value_heads=2, rms_norm_eps=1.5625e-07)
    return llama.decoder(config, bias=config.flag("attention_bias", True))


WEIGHTS: Recipes = {
    **llama.WEIGHTS,
    "layers.{i}.mixer.qkv.weight": llama.paired("weight"),
    "layers.{i}.mixer.qkv.bias": llama.paired("bias"),
    "layers.{i}.ffn.up.weight": Copy("model.layers.{i}.mlp.gate_up_proj.weight"),
}

GGUF: Recipes = {**llama.GGUF, "layers.{i}.ffn.up.weight": Copy("blk.{i}.ffn_up.weight")}

TINY: dict[str, Any] = {
    **llama.TINY,
    "architectures": ["GlmForCausalLM"],
    "model_type": "glm",
    "head_dim": 24,
    "attention_bias": True,
    "pad_token_id": 0,
}
