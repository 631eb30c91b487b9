"""OLMo Hybrid (Ai2 2025): OLMo 2, most of whose layers have a gated delta net, whose state may turn, with norms before the parts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from models.families.changes import each, mixer, where
from models.families.dense import olmo2
from models.families.linear import qwen3_next
from models.hf import Config
from models.recipes import Cat, Copy, First, NegExp, Recipes, Taps, cat
from models.spec import Arch, DeltaRule, LinearAttention, Norm

# how the weights were drawn
TRAINING = ("linear_a_log_min", "linear_a_log_max", "linear_dt_min", "linear_dt_max", "linear_dt_init_floor")


def arch(config: Config) -> Arch:
    config.ignore(*TRAINING)
    config.assume(rms_norm_eps=1e-6, max_position_embeddings=65536)
    base = olmo2.decoder(config)
    if config.part("rope_parameters") is None and config.part("rope_scaling") is None and config.anything("rope_theta") is None:
        base = each(base, lambda layer: mixer(layer, position=None))
    net = _delta_net(config, base.dim)
    return where(base, _linear(config, len(base.layers)), lambda layer: replace(layer, mixer=net, placement="pre"))


def _delta_net(config: Config, dim: int) -> LinearAttention:
    heads = config.integer("num_attention_heads")
    key_heads = config.integer("linear_num_key_heads", heads)
    key_dim = config.integer("linear_key_head_dim", int(0.75 * dim / key_heads))
    return LinearAttention(
        heads=config.integer("linear_num_value_heads", heads),
        key_heads=key_heads,
        key_dim=key_dim,
        value_dim=config.integer("linear_value_head_dim", 2 * key_dim),
        delta=DeltaRule(most=2.0 if config.flag("linear_allow_neg_eigval", True) else 1.0),
        kernel=config.integer("linear_conv_kernel_dim", 4),
        norm=Norm(eps=1e-5),  # which no file states
    )


def _linear(config: Config, count: int) -> Sequence[bool]:
    usual = qwen3_next.linear(config, count)
    return usual if config.anything("layer_types") or not all(usual) else [True] * (count - 1) + [False]


_L = "model.layers.{i}."
_N, _A = _L + "linear_attn.", _L + "self_attn."
# layers that attend have it in the one place, as published, or in the other, as transformers writes it
_BEHIND = (Copy(_L + "post_attention_layernorm.weight"), Copy(_L + "feedforward_layer_norm.weight"))

WEIGHTS: Recipes = {
    **olmo2.WEIGHTS,
    "layers.{i}.norm1_post.weight": First(_BEHIND),
    "layers.{i}.norm1.weight": First((Copy(_L + "attention_layer_norm.weight"), Copy(_L + "input_layernorm.weight"))),
    "layers.{i}.norm2.weight": First(_BEHIND[::-1]),
    "layers.{i}.mixer.into.weight": cat(*(_N + f"{part}_proj.weight" for part in "qkvgba")),
    "layers.{i}.mixer.conv.weight": Cat(tuple(Taps(Copy(_N + f"{part}_conv1d.weight")) for part in "qkv")),
    "layers.{i}.mixer.decay.rate": NegExp(Copy(_N + "A_log")),
    "layers.{i}.mixer.decay.bias": Copy(_N + "dt_bias"),
    "layers.{i}.mixer.norm.weight": Copy(_N + "o_norm.weight"),
    "layers.{i}.mixer.out.weight": First((Copy(_N + "o_proj.weight"), Copy(_A + "o_proj.weight"))),
}

TINY: dict[str, Any] = {
    **{key: value for key, value in qwen3_next.NETS.items() if key not in ("head_dim", "rope_parameters")},
    "architectures": ["OlmoHybridForCausalLM"],
    "model_type": "olmo_hybrid",
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
