"""Granite 3 (arXiv 2408.04587 and IBM's model cards): Llama with four multipliers: of the embedding, of the scores, of what
each part adds, and a divisor of the logits."""

from dataclasses import replace
from typing import Any

from models.families.changes import each, mixer
from models.families.dense import llama
from models.hf import Config
from models.spec import Arch, Next

WEIGHTS, GGUF = llama.WEIGHTS, llama.GGUF


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    bias = config.flag("attention_bias", False)
    return multiplied(llama.decoder(config, bias=bias, out_bias=bias, mlp_bias=config.flag("mlp_bias", False)), config)


def multiplied(base: Arch, config: Config) -> Arch:
    scores, added = config.number("attention_multiplier", 1.0), config.number("residual_multiplier", 1.0)
    arch = each(base, lambda layer: replace(mixer(layer, scale=scores), scale=added))
    output = Next(scale=1 / config.number("logits_scaling", 1.0))
    return replace(arch, embed_scale=config.number("embedding_multiplier", 1.0), output=output)


TINY: dict[str, Any] = {
    **llama.TINY,
    "architectures": ["GraniteForCausalLM"],
    "model_type": "granite",
    "embedding_multiplier": 3.0,
    "attention_multiplier": 0.2,
    "residual_multiplier": 0.4,
    "logits_scaling": 0.6,
}
