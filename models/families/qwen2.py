"""Qwen2 and Qwen2.5 (arXiv 2407.10671, 2412.15115): Llama with biases on q, k and v; in some, upper layers have a
sliding window."""

from dataclasses import replace
from typing import Any

from models.families import llama
from models.families.mistral import masked
from models.hf import Config, ConfigError
from models.spec import Arch, Window

WEIGHTS, GGUF = llama.WEIGHTS, llama.GGUF_PLAIN


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.only("use_mrope", False)
    return windowed(llama.decoder(config, bias=True), config)


def windowed(base: Arch, config: Config) -> Arch:
    """The layers that `layer_types` calls sliding_attention get a window; the older way to say it is that those from
    number `max_window_layers` on do, if `use_sliding_window`."""
    config.assume(sliding_window=4096, max_window_layers=28)
    count, size, first = len(base.layers), config.optional_integer("sliding_window"), config.integer("max_window_layers", 0)
    if not config.flag("use_sliding_window", False):
        size = None
    older = tuple("sliding_attention" if size and i >= first else "full_attention" for i in range(count))
    local = sliding(config.items("layer_types", str) or older, count)
    if size is None:
        if any(local):
            raise ConfigError(f"{config.where}: layer_types has sliding_attention, but use_sliding_window or sliding_window is not set")
        return base
    layers = (masked(layer, Window(size=size)) if is_local else layer for layer, is_local in zip(base.layers, local, strict=True))
    return replace(base, layers=tuple(layers))


def sliding(types: tuple[str, ...], count: int) -> tuple[bool, ...]:
    """Which layers see a window only. Raises ConfigError for other kinds and for another number of layers."""
    unknown = set(types) - {"sliding_attention", "full_attention"}
    if unknown or len(types) != count:
        raise ConfigError(f"layer_types must say sliding_attention or full_attention for each of {count} layers, not {list(types)}")
    return tuple(t == "sliding_attention" for t in types)


TINY: dict[str, Any] = llama.TINY | {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "use_sliding_window": True,
    "sliding_window": 5,
    "max_window_layers": 1,
}
