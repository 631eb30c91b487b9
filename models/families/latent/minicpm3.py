"""MiniCPM3 (arXiv 2404.06395 and OpenBMB's model card): a dense model with latent attention, whose embedding, branches and
logits are scaled so that small models tell how large ones behave."""

from dataclasses import replace
from typing import Any

from models.families.changes import each
from models.families.dense import llama
from models.families.latent import deepseek_v2
from models.hf import Config
from models.recipes import Copy, First, Recipes
from models.spec import Arch, Next

_A = "model.layers.{i}.self_attn."


def arch(config: Config) -> Arch:
    config.assume(tie_word_embeddings=True, rms_norm_eps=1e-5, qk_nope_head_dim=64, qk_rope_head_dim=32, kv_lora_rank=256)
    config.assume(v_head_dim=config.integer("hidden_size") // config.integer("num_attention_heads"))
    base = deepseek_v2.decoder(config)
    depth = config.number("scale_depth", 1.4) / len(base.layers) ** 0.5
    logits = config.integer("dim_model_base", 256) / base.dim
    arch = each(base, lambda layer: replace(layer, scale=depth))
    return replace(arch, embed_scale=config.number("scale_emb", 12.0), output=Next(scale=logits))


WEIGHTS: Recipes = {
    **llama.WEIGHTS,
    **deepseek_v2.ATTENTION,
    "layers.{i}.mixer.q.weight": First((Copy(_A + "q_b_proj.weight"), Copy(_A + "q_proj.weight"))),
    "layers.{i}.mixer.kv_down.weight": Copy(_A + "kv_a_proj_with_mqa.weight"),
    "layers.{i}.mixer.kv_down.bias": Copy(_A + "kv_a_proj_with_mqa.bias"),
}

GGUF = deepseek_v2.GGUF_PLAIN

TINY: dict[str, Any] = {
    "architectures": ["MiniCPM3ForCausalLM"],
    "model_type": "minicpm3",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "q_lora_rank": 28,
    "kv_lora_rank": 36,
    "qk_nope_head_dim": 20,
    "qk_rope_head_dim": 12,
    "v_head_dim": 24,
    "scale_emb": 3,
    "scale_depth": 1.4,
    "dim_model_base": 32,
    "vocab_size": 256,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
}
