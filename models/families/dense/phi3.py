"""Phi-3 and Phi-4 (arXiv 2404.14219, 2412.08905): Llama whose q, k and v lie in one matrix, and gate and up in another; the
long ones by LongRoPE, those of Phi-4-mini on three quarters of a head."""

from typing import Any

from models.families.dense import llama
from models.families.dense.mistral import windowed
from models.hf import Config
from models.recipes import Copy, Recipes
from models.spec import Arch


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.only("attention_bias", False)
    config.assume(rms_norm_eps=1e-5)
    config.ignore("original_max_position_embeddings")  # read with the scaling, if there is one
    return windowed(llama.decoder(config), config)


_L = "model.layers.{i}."

WEIGHTS: Recipes = {
    **llama.WEIGHTS,
    "layers.{i}.mixer.qkv.weight": Copy(_L + "self_attn.qkv_proj.weight"),
    "layers.{i}.ffn.up.weight": Copy(_L + "mlp.gate_up_proj.weight"),
}

GGUF: Recipes = {
    **llama.GGUF_PLAIN,
    "layers.{i}.mixer.qkv.weight": Copy("blk.{i}.attn_qkv.weight"),
    "layers.{i}.ffn.up.weight": Copy("blk.{i}.ffn_up.weight"),
}

TINY: dict[str, Any] = {
    **llama.TINY,
    "architectures": ["Phi3ForCausalLM"],
    "model_type": "phi3",
    "pad_token_id": 0,
    "max_position_embeddings": 128,
    "original_max_position_embeddings": 16,
    "partial_rotary_factor": 0.75,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10_000.0,
        "partial_rotary_factor": 0.75,
        "short_factor": [1.0, 1.1, 1.3, 1.5, 1.6, 2.0],
        "long_factor": [1.0, 2.0, 3.0, 5.0, 7.0, 8.0],
    },
}
