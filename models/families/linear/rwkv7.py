"""RWKV-7 (Peng et al. 2025, arXiv 2503.14456): no attention and no positions; what a token knows of those before it comes out of
states. Read under the names of Hugging Face's folders, and under those of its makers' files (tensors of a .pth as safetensors)."""

from dataclasses import replace
from typing import Any

from models.families.recurrent.mamba import CONTEXT
from models.hf import Config, ConfigError
from models.recipes import Cat, Copy, First, Flatten, Recipe, Recipes, Transpose
from models.spec import MLP, Arch, FirstValues, Layer, Norm, Rwkv7, TokenShift

# how it is computed, and lengths that training saw
_NOT_OURS = (
    "attn_mode",
    "fuse_norm",
    "fuse_cross_entropy",
    "fuse_linear_cross_entropy",
    "use_l2warp",
    "max_position_embeddings",
    "elementwise_affine",
)


def arch(config: Config) -> Arch:
    config.only("hidden_act", "sqrelu", "relu2")
    config.only("norm_first", True)
    config.ignore(*_NOT_OURS)
    dim = config.integer("hidden_size")
    norm = Norm(kind="layer" if config.flag("norm_bias", True) else "layer_unbiased", eps=config.number("norm_eps", 1e-5))
    ffn = MLP(hidden=_hidden(config, dim), activation="relu2", gated=False, shift=TokenShift(channels=dim))
    first = _first_mixer(config, dim, norm)
    others = replace(first, first=FirstValues(rank=_rank(config, "v", 1.7 * first.head_dim / 64, dim)))
    mixers = (first, *(others,) * (config.integer("num_hidden_layers") - 1))
    return Arch(
        dim=dim,
        vocab=config.integer("vocab_size"),
        layers=tuple(Layer(mixer=mixer, ffn=ffn, norm=norm) for mixer in mixers),
        norm=norm,
        embed_norm=norm,
        tied=config.flag("tie_word_embeddings", False),
        context=CONTEXT,
    )


def _first_mixer(config: Config, dim: int, norm: Norm) -> Rwkv7:
    heads, values = config.optional_integer("num_heads"), config.anything("value_dim")
    head_dim = config.integer("head_dim", dim // heads if heads else 64)
    if dim % head_dim or heads not in (None, dim // head_dim):
        raise ConfigError(f"{config.where}: hidden_size = {dim} is not num_heads = {heads} times head_dim = {head_dim}")
    if values not in (None, dim, [dim] * config.integer("num_hidden_layers")):
        raise ConfigError(f"{config.where}: value_dim = {values!r} is not supported, only {dim} in every layer")
    return Rwkv7(
        heads=dim // head_dim,
        head_dim=head_dim,
        decay_rank=_rank(config, "decay", 2.5 * head_dim / 64, dim),
        rate_rank=_rank(config, "a", 2.5 * head_dim / 64, dim),
        gate_rank=_rank(config, "gate", 5.0, dim),
        eps=head_dim * norm.eps,
    )


def _rank(config: Config, of: str, share: float, dim: int) -> int:
    """Stated, or so many times the root of the width, in steps of 32."""
    return config.integer(f"{of}_low_rank_dim", max(32, round(share * dim**0.5 / 32) * 32))


def _hidden(config: Config, dim: int) -> int:
    """By default a multiple of 32."""
    ratio = config.number("hidden_ratio", 4)
    return config.integer("intermediate_size", -(-int(dim * ratio) // 32) * 32)


_L, _B = "model.layers.{i}.", "blocks.{i}."
_ROLES = {"receptance": "r", "key": "k", "value": "v", "out": "o"}


def _either(theirs: str, published: Recipe) -> Recipe:
    return First((Copy(theirs), published))


def _norm(ours: str, theirs: str, published: str) -> dict[str, Recipe]:
    return {f"{ours}.{field}": _either(f"{theirs}.{field}", Copy(f"{published}.{field}")) for field in ("weight", "bias")}


def _vector(source: str) -> Recipe:
    """[1, 1, D] -> [D]"""
    return Flatten(Flatten(Copy(source)))


def _low_rank(ours: str, letter: str) -> dict[str, Recipe]:
    """Matrices that makers' files keep as [in, out], under one letter and a number."""
    lora, mixer = f"{_L}attn.{letter}_lora.lora", f"layers.{{i}}.mixer.{ours}"
    return {
        f"{mixer}.down.weight": _either(f"{lora}.0.weight", Transpose(Copy(f"{_B}att.{letter}1"))),
        f"{mixer}.up.weight": _either(f"{lora}.2.weight", Transpose(Copy(f"{_B}att.{letter}2"))),
        f"{mixer}.up.bias": _either(f"{lora}.2.bias", _vector(f"{_B}att.{letter}0")),
    }


def _mixes(before: str) -> Recipe:
    return Cat(tuple(_vector(f"{before}.x_{role}") for role in "rwkvag"))


WEIGHTS: Recipes = {
    "embed.weight": _either("model.embeddings.weight", Copy("emb.weight")),
    **_norm("embed_norm", "model.layers.0.pre_norm", "blocks.0.ln0"),
    **_norm("layers.{i}.norm1", _L + "attn_norm", _B + "ln1"),
    "layers.{i}.mixer.shift.mix": First((_mixes(_L + "attn"), _mixes(_B + "att"), Flatten(Copy(_L + "attn.x_x")))),
    **{
        f"layers.{{i}}.mixer.{ours}.weight": _either(
            f"{_L}attn.{theirs}_proj.weight", Copy(f"{_B}att.{'output' if ours == 'out' else ours}.weight")
        )
        for ours, theirs in _ROLES.items()
    },
    **_low_rank("decay", "w"),
    **_low_rank("rate", "a"),
    **_low_rank("gate", "g"),
    **_low_rank("first", "v"),
    "layers.{i}.mixer.key_scale": _either(_L + "attn.k_k", _vector(_B + "att.k_k")),
    "layers.{i}.mixer.rate_scale": _either(_L + "attn.k_a", _vector(_B + "att.k_a")),
    "layers.{i}.mixer.bonus": _either(_L + "attn.r_k", Copy(_B + "att.r_k")),
    **_norm("layers.{i}.mixer.norm", _L + "attn.g_norm", _B + "att.ln_x"),
    **_norm("layers.{i}.norm2", _L + "ffn_norm", _B + "ln2"),
    "layers.{i}.ffn.shift.mix": _either(_L + "ffn.x_k", _vector(_B + "ffn.x_k")),
    "layers.{i}.ffn.up.weight": _either(_L + "ffn.key.weight", Copy(_B + "ffn.key.weight")),
    "layers.{i}.ffn.down.weight": _either(_L + "ffn.value.weight", Copy(_B + "ffn.value.weight")),
    **_norm("norm", "model.norm", "ln_out"),
    "head.weight": _either("lm_head.weight", Copy("head.weight")),
}

TINY: dict[str, Any] = {
    "architectures": ["RWKV7ForCausalLM"],
    "model_type": "rwkv7",
    "hidden_size": 128,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "head_dim": 64,
    "decay_low_rank_dim": 10,
    "a_low_rank_dim": 12,
    "gate_low_rank_dim": 14,
    "v_low_rank_dim": 9,
    "hidden_act": "sqrelu",
    "vocab_size": 256,
}
