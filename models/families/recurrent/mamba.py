"""Mamba (Gu & Dao 2023, arXiv 2312.00752): selective state spaces alone, without attention and without positions."""

from math import ceil
from typing import Any

from models.hf import Config
from models.recipes import Copy, First, NegExp, Recipes, Taps, both
from models.spec import Arch, Layer, Mamba, Norm

CONTEXT = 1 << 20  # its makers name no longest sequence: a state is as large after any number of tokens

# how the weights were drawn, and forms of the scan that compute the same
TRAINING = (
    "time_step_scale",
    "time_step_min",
    "time_step_max",
    "time_step_init_scheme",
    "time_step_floor",
    "rescale_prenorm_residual",
    "residual_in_fp32",
    "use_mambapy",
    "use_associative_scan",
    "fused_add_norm",
    "pad_vocab_size_multiple",
)


def arch(config: Config) -> Arch:
    return decoder(config, None)


def decoder(config: Config, norm: Norm | None) -> Arch:
    """`norm`: of what chooses step size, input and output."""
    config.assume(vocab_size=50280, hidden_size=768, num_hidden_layers=32, tie_word_embeddings=True)
    config.only("hidden_act", "silu")
    config.only("rms_norm", True)
    config.ignore(*TRAINING)
    dim = config.integer("hidden_size")
    mixer = Mamba(
        inner=config.integer("intermediate_size", config.integer("expand", 2) * dim),
        state=config.integer("state_size", 16),
        rank=_rank(config, dim),
        kernel=config.integer("conv_kernel", 4),
        conv_bias=config.flag("use_conv_bias", True),
        bias=config.flag("use_bias", False),
        norm=norm,
    )
    return around(config, Layer(mixer=mixer, ffn=None, norm=Norm(eps=config.number("layer_norm_epsilon", 1e-5))))


def around(config: Config, layer: Layer) -> Arch:
    """So many of them."""
    return Arch(
        dim=config.integer("hidden_size"),
        vocab=config.integer("vocab_size"),
        layers=(layer,) * config.integer("num_hidden_layers"),
        norm=layer.norm,
        tied=config.flag("tie_word_embeddings", False),
        context=CONTEXT,
    )


def _rank(config: Config, dim: int) -> int:
    given = config.values.get("time_step_rank", "auto")
    config.ignore("time_step_rank")
    return ceil(dim / 16) if given == "auto" else config.integer("time_step_rank")


def state(theirs: str, ours: str = "layers.{i}.mixer.") -> Recipes:
    """What Mamba and Mamba-2 have in common."""
    return {
        **both(ours + "into", theirs + "in_proj"),
        ours + "conv.weight": Taps(Copy(theirs + "conv1d.weight")),
        ours + "conv.bias": Copy(theirs + "conv1d.bias"),
        ours + "decay": NegExp(Copy(theirs + "A_log")),
        ours + "skip": Copy(theirs + "D"),
        **both(ours + "out", theirs + "out_proj"),
    }


_M = "backbone.layers.{i}.mixer."

FRAME: Recipes = {
    "embed.weight": Copy("backbone.embeddings.weight"),
    "layers.{i}.norm1.weight": Copy("backbone.layers.{i}.norm.weight"),
    **state(_M),
    "norm.weight": Copy("backbone.norm_f.weight"),
    "head.weight": Copy("lm_head.weight"),
}

WEIGHTS: Recipes = {
    **FRAME,
    "layers.{i}.mixer.choose.weight": Copy(_M + "x_proj.weight"),
    **both("layers.{i}.mixer.step", _M + "dt_proj"),
}

_B = "blk.{i}."


def gguf_out(name: str) -> Recipes:
    """What goes out of a state, or in a layer that attends of that."""
    return {f"layers.{{i}}.mixer.out.{f}": First((Copy(f"{_B}{name}.{f}"), Copy(f"{_B}attn_output.{f}"))) for f in ("weight", "bias")}


# what Mamba and Mamba-2 have in common
GGUF_STATE: Recipes = {
    **both("layers.{i}.mixer.into", _B + "ssm_in"),
    **both("layers.{i}.mixer.conv", _B + "ssm_conv1d"),
    "layers.{i}.mixer.decay": Copy(_B + "ssm_a"),
    "layers.{i}.mixer.skip": Copy(_B + "ssm_d"),
    **gguf_out("ssm_out"),
}

GGUF_CHOICES: Recipes = {
    "layers.{i}.mixer.choose.weight": Copy(_B + "ssm_x.weight"),
    **both("layers.{i}.mixer.step", _B + "ssm_dt"),
}

GGUF_FRAME: Recipes = {
    "embed.weight": Copy("token_embd.weight"),
    "layers.{i}.norm1.weight": Copy(_B + "attn_norm.weight"),
    "norm.weight": Copy("output_norm.weight"),
    "head.weight": Copy("output.weight"),
}

GGUF: Recipes = {**GGUF_FRAME, **GGUF_STATE, **GGUF_CHOICES}

TINY: dict[str, Any] = {
    "architectures": ["MambaForCausalLM"],
    "model_type": "mamba",
    "hidden_size": 48,
    "vocab_size": 256,
    "num_hidden_layers": 3,
    "state_size": 5,
    "expand": 2,
    "intermediate_size": 96,
    "conv_kernel": 4,
    "time_step_rank": 7,
    "use_bias": True,
    "tie_word_embeddings": True,
}
