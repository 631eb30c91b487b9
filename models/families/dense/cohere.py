"""Command R (Cohere 2024): both parts side by side behind one LayerNorm without bias; RoPE that rotates neighbours; logits
scaled. Command R+ also norms each head of q and k with a weight of its own."""

from dataclasses import replace
from typing import Any

from models.families.changes import each, mixer
from models.families.dense import llama
from models.hf import Config
from models.recipes import Copy, Permute, Recipes
from models.spec import Arch, Next, Norm, QKNorm


def arch(config: Config) -> Arch:
    base = decoder(config)
    if not config.flag("use_qk_norm", False):
        return base
    return each(base, lambda layer: mixer(layer, qk_norm=QKNorm(norm=layer.norm, over="each_head")))


def decoder(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.only("use_parallel_block", True)
    config.only("use_gated_activation", True)
    config.assume(tie_word_embeddings=True)
    config.ignore("layer_switch", "order_of_interleaved_layers", "position_embedding_type", "rotary_pct", "use_embedding_sharing")
    norm, bias = Norm(kind="layer_unbiased", eps=config.number("layer_norm_eps", 1e-5)), config.flag("attention_bias", False)
    base = each(llama.decoder(config, bias=bias, out_bias=bias), lambda layer: replace(layer, norm=norm, placement="parallel_shared"))
    return replace(base, norm=norm, output=Next(scale=config.number("logit_scale", 0.0625)))


WEIGHTS: Recipes = {
    **llama.WEIGHTS,
    "layers.{i}.mixer.qkv.weight": llama.paired("weight"),
    "layers.{i}.mixer.qkv.bias": llama.paired("bias"),
    "layers.{i}.mixer.q_norm.weight": Permute(Copy("model.layers.{i}.self_attn.q_norm.weight")),
    "layers.{i}.mixer.k_norm.weight": Permute(Copy("model.layers.{i}.self_attn.k_norm.weight")),
}

GGUF: Recipes = {
    **llama.GGUF,
    "layers.{i}.mixer.q_norm.weight": Permute(Copy("blk.{i}.attn_q_norm.weight")),
    "layers.{i}.mixer.k_norm.weight": Permute(Copy("blk.{i}.attn_k_norm.weight")),
}

TINY: dict[str, Any] = {
    "architectures": ["CohereForCausalLM"],
    "model_type": "cohere",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 256,
    "max_position_embeddings": 128,
    "logit_scale": 1.5,
    "use_qk_norm": True,
    "pad_token_id": 0,
}
