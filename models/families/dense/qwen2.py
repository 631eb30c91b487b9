"""Qwen2 and Qwen2.5 (arXiv 2407.10671, 2412.15115): Llama with biases on q, k and v; in some, upper layers have a
sliding window."""

from typing import Any

from models.families.changes import masked, sliding, where
from models.families.dense import llama
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
    return where(base, local, lambda layer: masked(layer, Window(size=size)))


TINY: dict[str, Any] = llama.TINY | {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "use_sliding_window": True,
    "sliding_window": 5,
    "max_window_layers": 1,
}
