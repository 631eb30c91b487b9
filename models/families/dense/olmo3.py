"""OLMo 3 (AllenAI 2025): OLMo 2 with a window in three of four layers, which no scaling of RoPE stretches."""

from typing import Any

from models.families.changes import masked, mixer, pattern, sliding, where
from models.families.dense import olmo2
from models.hf import Config, rope
from models.spec import Arch, Attention, Rope, Window

WEIGHTS, GGUF = olmo2.WEIGHTS, olmo2.GGUF


def arch(config: Config) -> Arch:
    config.assume(sliding_window=4096)
    base = olmo2.decoder(config)
    window, position = Window(size=config.integer("sliding_window")), _local_rope(config, base)
    local = sliding(config.items("layer_types", str) or pattern(4, len(base.layers)), len(base.layers))
    return where(base, local, lambda layer: masked(mixer(layer, position=position), window))


def _local_rope(config: Config, base: Arch) -> Rope:
    match base.layers[0].mixer:
        case Attention(head_dim=k, position=Rope(base=frequency)):
            return rope(config, k, "sliding_attention") if config.part("rope_parameters") else Rope(dim=k, base=frequency)
        case other:
            raise TypeError(f"{other} is no attention with RoPE")


TINY: dict[str, Any] = {
    **olmo2.TINY,
    "architectures": ["Olmo3ForCausalLM"],
    "model_type": "olmo3",
    "num_hidden_layers": 4,
    "sliding_window": 5,
    "rope_parameters": {
        "full_attention": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 10_000.0, "original_max_position_embeddings": 32},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    },
}
