"""Mamba-2 (Dao & Gu 2024, arXiv 2405.21060): Mamba with one decay for each head, and a norm behind its gate."""

from math import inf
from typing import Any

from models.families.recurrent import mamba
from models.hf import Config
from models.recipes import Copy, Flatten, Recipes
from models.spec import Arch, Layer, Mamba2, Norm


def arch(config: Config) -> Arch:
    config.assume(vocab_size=32768, hidden_size=4096, num_hidden_layers=64)
    config.only("hidden_act", "silu")
    config.ignore(*mamba.TRAINING, "chunk_size", "time_step_rank")
    config.only("rms_norm", True)
    dim, heads, head_dim = config.integer("hidden_size"), config.integer("num_heads", 128), config.integer("head_dim", 64)
    config.only("expand", heads * head_dim / dim)
    norm = Norm(eps=config.number("layer_norm_epsilon", 1e-5))
    least, most = steps(config)
    mixer = Mamba2(
        heads=heads,
        head_dim=head_dim,
        state=config.integer("state_size", 128),
        groups=config.integer("n_groups", 8),
        kernel=config.integer("conv_kernel", 4),
        conv_bias=config.flag("use_conv_bias", True),
        bias=config.flag("use_bias", False),
        norm=norm,
        least_step=least,
        most_step=most,
    )
    return mamba.around(config, Layer(mixer=mixer, ffn=None, norm=norm))


def steps(config: Config) -> tuple[float, float | None]:
    """Between which a step lies."""
    least, most = config.items("time_step_limit", float) or (0.0, inf)
    return least, None if most == inf else most


def further(theirs: str, ours: str = "layers.{i}.mixer.") -> Recipes:
    """What Mamba-2 has beside `mamba.state`."""
    return {ours + "step_bias": Copy(theirs + "dt_bias"), ours + "norm.weight": Copy(theirs + "norm.weight")}


_M = "backbone.layers.{i}.mixer."

WEIGHTS: Recipes = {**mamba.FRAME, **further(_M)}

_B = "blk.{i}."

# decay and skip as columns, the norm in rows of a group each
GGUF_STATE: Recipes = {
    **mamba.GGUF_STATE,
    "layers.{i}.mixer.decay": Flatten(Copy(_B + "ssm_a")),
    "layers.{i}.mixer.skip": Flatten(Copy(_B + "ssm_d")),
    "layers.{i}.mixer.step_bias": Copy(_B + "ssm_dt.bias"),
    "layers.{i}.mixer.norm.weight": Flatten(Copy(_B + "ssm_norm.weight")),
}

GGUF: Recipes = {**mamba.GGUF_FRAME, **GGUF_STATE}

TINY: dict[str, Any] = {
    "architectures": ["Mamba2ForCausalLM"],
    "model_type": "mamba2",
    "hidden_size": 40,
    "vocab_size": 256,
    "num_hidden_layers": 3,
    "num_heads": 6,
    "head_dim": 20,
    "expand": 3,
    "state_size": 7,
    "n_groups": 2,
    "conv_kernel": 4,
    "chunk_size": 8,
    "time_step_limit": [0.2, 0.9],
    "use_bias": True,
}
