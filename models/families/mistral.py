"""Mistral (arXiv 2310.06825): Llama, where a token sees only the last `sliding_window` tokens."""

from dataclasses import replace
from typing import Any

from models.families import llama
from models.hf import Config
from models.spec import Arch, Layer, Mask, Window

WEIGHTS, GGUF = llama.WEIGHTS, llama.GGUF


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.assume(sliding_window=4096, num_key_value_heads=8)
    base = llama.decoder(config)
    size = config.optional_integer("sliding_window")
    return base if size is None else replace(base, layers=tuple(masked(layer, Window(size=size)) for layer in base.layers))


def masked(layer: Layer, mask: Mask) -> Layer:
    """The same layer, looking at other tokens."""
    return replace(layer, mixer=replace(layer.mixer, mask=mask))


TINY: dict[str, Any] = llama.TINY | {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "head_dim": 24, "sliding_window": 5}
