"""Command R7B and Command A (arXiv 2504.00698): Command R with RoPE in windowed layers only; the others see everything and
know no positions."""

from typing import Any

from models.families.changes import masked, mixer, pattern, sliding, where
from models.families.dense import cohere, llama
from models.hf import Config
from models.recipes import Recipes
from models.spec import Arch, Window

_NORMS = ("layers.{i}.mixer.q_norm.weight", "layers.{i}.mixer.k_norm.weight")

WEIGHTS: Recipes = {name: recipe for name, recipe in cohere.WEIGHTS.items() if name not in _NORMS}


def arch(config: Config) -> Arch:
    config.assume(sliding_window=4096)
    config.only("use_qk_norm", False)
    base = cohere.decoder(config)
    window, count = Window(size=config.integer("sliding_window")), len(base.layers)
    every = config.integer("sliding_window_pattern", config.integer("_sliding_window_pattern", 4))
    local = sliding(config.items("layer_types", str) or pattern(every, count), count)
    arch = where(base, local, lambda layer: masked(layer, window))
    return where(arch, [not is_local for is_local in local], lambda layer: mixer(layer, position=None))


GGUF = llama.GGUF

TINY: dict[str, Any] = {
    **{key: value for key, value in cohere.TINY.items() if key != "use_qk_norm"},
    "architectures": ["Cohere2ForCausalLM"],
    "model_type": "cohere2",
    "head_dim": 24,
    "num_hidden_layers": 4,
    "sliding_window": 5,
}
