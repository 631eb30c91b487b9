"""Mistral (arXiv 2310.06825): Llama, where a token sees only the last `sliding_window` tokens."""

from typing import Any

from models.families.changes import each, masked
from models.families.dense import llama
from models.hf import Config
from models.spec import Arch, Window

WEIGHTS, GGUF = llama.WEIGHTS, llama.GGUF


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.assume(sliding_window=4096, num_key_value_heads=8)
    return windowed(llama.decoder(config), config)


def windowed(base: Arch, config: Config) -> Arch:
    """A window in every layer, if `sliding_window` says how large."""
    size = config.optional_integer("sliding_window")
    return base if size is None else each(base, lambda layer: masked(layer, Window(size=size)))


TINY: dict[str, Any] = llama.TINY | {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "head_dim": 24, "sliding_window": 5}
