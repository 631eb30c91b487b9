"""Gemma (arXiv 2403.08295): Llama with a gated tanh-GELU and embeddings scaled by sqrt(dim). Checkpoints of Hugging Face
store norm weights minus 1."""

from dataclasses import replace
from typing import Any

from models.families.changes import each, ffn
from models.families.dense import llama
from models.hf import Config
from models.recipes import Copy, Recipe, Recipes, Shift
from models.spec import Arch


def arch(config: Config) -> Arch:
    config.only("use_bidirectional_attention", False)
    return decoder(config)


def decoder(config: Config) -> Arch:
    for key in ("hidden_activation", "hidden_act"):
        config.only(key, "gelu_pytorch_tanh", "gelu")  # the first files say gelu and mean this one
    config.assume(head_dim=256, tie_word_embeddings=True)
    bias = config.flag("attention_bias", False)
    base = replace(llama.decoder(config, bias=bias, out_bias=bias), embed_scale=config.integer("hidden_size") ** 0.5)
    return each(base, lambda layer: ffn(layer, activation="gelu_tanh"))


def shifted(source: str) -> Recipe:
    return Shift(Copy(source), 1.0)


_L = "model.layers.{i}."

WEIGHTS: Recipes = {
    **llama.WEIGHTS,
    "layers.{i}.norm1.weight": shifted(_L + "input_layernorm.weight"),
    "layers.{i}.norm2.weight": shifted(_L + "post_attention_layernorm.weight"),
    "norm.weight": shifted("model.norm.weight"),
}

GGUF = llama.GGUF_PLAIN

TINY: dict[str, Any] = {
    **llama.TINY,
    "architectures": ["GemmaForCausalLM"],
    "model_type": "gemma",
    "head_dim": 24,
    "tie_word_embeddings": True,
}
