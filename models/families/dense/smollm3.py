"""SmolLM3 (Hugging Face 2025): Llama in which every fourth layer knows no positions (NoPE, arXiv 2305.19466)."""

from typing import Any

from models.families.changes import masked, mixer, where
from models.families.dense import llama
from models.hf import Config, ConfigError
from models.spec import Arch, Window

WEIGHTS, GGUF = llama.WEIGHTS, llama.GGUF


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.assume(rope_theta=2_000_000.0, num_key_value_heads=4, tie_word_embeddings=True)
    config.ignore("layer_types")  # follows from no_rope_layers and the window
    bias = config.flag("attention_bias", False)
    base = llama.decoder(config, bias=bias, out_bias=bias, mlp_bias=config.flag("mlp_bias", False))
    nope = _nope(config, len(base.layers))
    size, windows = config.optional_integer("sliding_window"), config.flag("use_sliding_window", False)
    arch = where(base, nope, lambda layer: mixer(layer, position=None))
    return where(arch, nope, lambda layer: masked(layer, Window(size=size))) if windows and size else arch


def _nope(config: Config, count: int) -> list[bool]:
    """`no_rope_layers` says 1 where there is RoPE; older files name the interval only."""
    every = config.integer("no_rope_layer_interval", 4)
    roped = config.integers("no_rope_layers") or tuple(int((i + 1) % every != 0) for i in range(count))
    if len(roped) != count:
        raise ConfigError(f"{config.where}: no_rope_layers must have an entry for each of {count} layers")
    return [not is_roped for is_roped in roped]


TINY: dict[str, Any] = {
    **llama.TINY,
    "architectures": ["SmolLM3ForCausalLM"],
    "model_type": "smollm3",
    "pad_token_id": 0,
    "num_hidden_layers": 4,
    "no_rope_layer_interval": 2,
    "tie_word_embeddings": True,
}
