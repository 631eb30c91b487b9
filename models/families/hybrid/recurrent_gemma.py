"""RecurrentGemma (Google 2024, arXiv 2404.07839): Griffin's recurrent blocks, two for each layer of attention to a window."""

from dataclasses import replace
from math import frexp, ldexp
from typing import Any

from models.families.changes import each, ffn, masked, mixer, where
from models.families.dense import gemma, llama
from models.hf import Config, ConfigError
from models.recipes import Cat, Copy, First, Recipes, Taps, Transpose, both
from models.spec import MLP, Arch, Next, RgLru, Window

KINDS = {"recurrent": False, "attention": True}


def arch(config: Config) -> Arch:
    config.only("hidden_activation", "gelu_pytorch_tanh")
    config.only("embeddings_scale_by_sqrt_dim", True)
    config.ignore("w_init_variance_scale", "final_w_init_variance_scale")
    config.assume(tie_word_embeddings=True, max_position_embeddings=8192, partial_rotary_factor=0.5)
    base = llama.decoder(config, bias=config.flag("attention_bias", False), mlp_bias=True)
    base = each(base, lambda layer: ffn(layer, activation="gelu_tanh", hidden=_half(layer.ffn)))
    window = Window(size=config.integer("attention_window_size", 2048))
    attending = each(base, lambda layer: masked(mixer(layer, out_bias=True), window))
    state = RgLru(
        channels=config.integer("lru_width", base.dim),
        blocks=config.integer("num_attention_heads"),
        kernel=config.integer("conv1d_width", 4),
    )
    hybrid = where(attending, _recurrent(config, len(base.layers)), lambda layer: replace(layer, mixer=state))
    scale, cap = _in_bfloat16(base.dim**0.5), config.number("logits_soft_cap", 30.0)
    return replace(hybrid, embed_scale=scale, output=Next(softcap=cap))


def _half(mlp: object) -> int:
    """What configurations call the width is gate and up together."""
    assert isinstance(mlp, MLP)
    return mlp.hidden // 2


def _recurrent(config: Config, count: int) -> list[bool]:
    """Which layers are: a pattern, over and over."""
    types = config.items("block_types", str) or ("recurrent", "recurrent", "attention")
    if set(types) - KINDS.keys():
        raise ConfigError(f"{config.where}: block_types must say recurrent or attention, not {list(types)}")
    return [not KINDS[types[i % len(types)]] for i in range(count)]


def _in_bfloat16(number: float) -> float:
    """Rounded to eight bits, which it is published in."""
    fraction, exponent = frexp(number)
    return ldexp(round(fraction * 256), exponent - 8)


_L = "model.layers.{i}."
_T = _L + "temporal_block."
_R = _T + "rg_lru."

WEIGHTS: Recipes = {
    **{name: recipe for name, recipe in llama.WEIGHTS.items() if name in ("embed.weight", "head.weight")},
    "layers.{i}.norm1.weight": gemma.shifted(_L + "temporal_pre_norm.weight"),
    **{f"layers.{{i}}.mixer.qkv.{field}": Cat(tuple(Copy(f"{_T}{p}_proj.{field}") for p in "qkv")) for field in ("weight", "bias")},
    **{f"layers.{{i}}.mixer.into.{field}": Cat(tuple(Copy(f"{_T}linear_{p}.{field}") for p in "yx")) for field in ("weight", "bias")},
    "layers.{i}.mixer.conv.weight": Taps(Copy(_T + "conv_1d.weight")),
    "layers.{i}.mixer.conv.bias": Copy(_T + "conv_1d.bias"),
    "layers.{i}.mixer.gates.weight": Cat(tuple(Transpose(Copy(f"{_R}{p}_gate_weight")) for p in ("input", "recurrent"))),
    "layers.{i}.mixer.gates_bias": Cat(tuple(Copy(f"{_R}{p}_gate_bias") for p in ("input", "recurrent"))),
    "layers.{i}.mixer.rate": Copy(_R + "recurrent_param"),
    **{
        f"layers.{{i}}.mixer.out.{field}": First((Copy(f"{_T}linear_out.{field}"), Copy(f"{_T}o_proj.{field}")))
        for field in ("weight", "bias")
    },
    "layers.{i}.norm2.weight": gemma.shifted(_L + "channel_pre_norm.weight"),
    **{
        f"layers.{{i}}.ffn.up.{field}": Cat(tuple(Copy(f"{_L}mlp_block.{p}_proj.{field}") for p in ("gate", "up")))
        for field in ("weight", "bias")
    },
    **both("layers.{i}.ffn.down", _L + "mlp_block.down_proj"),
    "norm.weight": gemma.shifted("model.final_norm.weight"),
}

TINY: dict[str, Any] = {
    "architectures": ["RecurrentGemmaForCausalLM"],
    "model_type": "recurrent_gemma",
    "hidden_size": 48,
    "intermediate_size": 144,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "lru_width": 60,
    "conv1d_width": 3,
    "attention_window_size": 7,
    "block_types": ["recurrent", "attention"],
    "logits_soft_cap": 3.0,
    "use_cache": False,  # transformers wants lru_width to be hidden_size for it
    "vocab_size": 256,
}
