"""Qwen3-Next (Qwen 2025): gated delta nets, in each fourth layer gated attention that turns a quarter of each head, and Qwen2-MoE's
experts. Norms are stored minus 1, but for those behind the delta nets."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from models.families.changes import each, mixer, where
from models.families.dense import llama
from models.families.dense.gemma import shifted
from models.families.experts import qwen2_moe
from models.hf import Config, ConfigError
from models.recipes import Cat, Copy, First, HalfRows, NegExp, Recipe, Recipes, Taps, Ungroup, cat
from models.spec import Arch, DeltaRule, LinearAttention, MoE, Norm, QKNorm


def arch(config: Config) -> Arch:
    config.assume(norm_topk_prob=True, moe_intermediate_size=512, intermediate_size=5632)
    return qwen2_moe.sparse(decoder(config, kv_heads=2), moe(config, 512, 10), config)


def decoder(config: Config, *, kv_heads: int) -> Arch:
    """All layers dense."""
    config.only("hidden_act", "silu")
    config.only("use_sliding_window", False)
    config.assume(head_dim=256, num_key_value_heads=kv_heads, partial_rotary_factor=0.25, max_position_embeddings=32768)
    bias = config.flag("attention_bias", False)
    base = llama.decoder(config, bias=bias, out_bias=bias)
    attending = each(base, lambda layer: mixer(layer, qk_norm=QKNorm(norm=layer.norm), gate="channel"))
    net = delta_net(config, base.layers[0].norm)
    return where(attending, linear(config, len(base.layers)), lambda layer: replace(layer, mixer=net))


def delta_net(config: Config, norm: Norm) -> LinearAttention:
    return LinearAttention(
        heads=config.integer("linear_num_value_heads", 32),
        key_heads=config.integer("linear_num_key_heads", 16),
        key_dim=config.integer("linear_key_head_dim", 128),
        value_dim=config.integer("linear_value_head_dim", 128),
        delta=DeltaRule(),
        kernel=config.integer("linear_conv_kernel_dim", 4),
        norm=norm,
    )


def linear(config: Config, count: int) -> Sequence[bool]:
    """Which layers have linear attention: by default all but each fourth."""
    every = config.integer("full_attention_interval", 4)
    usual = ("full_attention" if (i + 1) % every == 0 else "linear_attention" for i in range(count))
    types = config.items("layer_types", str) or tuple(usual)
    if len(types) != count or set(types) - {"linear_attention", "full_attention"}:
        raise ConfigError(f"{config.where}: layer_types must say linear_attention or full_attention for each of {count} layers")
    return [kind == "linear_attention" for kind in types]


def moe(config: Config, count: int, active: int) -> MoE:
    experts = qwen2_moe.experts(config, config.integer("num_experts", count), active)
    return replace(experts, shared=config.integer("shared_expert_intermediate_size", 512), shared_gate=True)


_L = "model.layers.{i}."
_N, _A = _L + "linear_attn.", _L + "self_attn."


def _gated(field: str) -> dict[str, Recipe]:
    q, k, v = (Copy(f"{_A}{p}_proj.{field}") for p in "qkv")
    return {
        f"layers.{{i}}.mixer.qkv.{field}": Cat((HalfRows(q, "queries"), k, v)),
        f"layers.{{i}}.mixer.gate.{field}": HalfRows(q, "gates"),
    }


DENSE: Recipes = {
    **llama.WEIGHTS,
    "layers.{i}.norm1.weight": shifted(_L + "input_layernorm.weight"),
    "layers.{i}.norm2.weight": shifted(_L + "post_attention_layernorm.weight"),
    "norm.weight": shifted("model.norm.weight"),
    **_gated("weight"),
    **_gated("bias"),
    "layers.{i}.mixer.q_norm.weight": shifted(_A + "q_norm.weight"),
    "layers.{i}.mixer.k_norm.weight": shifted(_A + "k_norm.weight"),
    "layers.{i}.mixer.conv.weight": Taps(Copy(_N + "conv1d.weight")),
    "layers.{i}.mixer.decay.rate": NegExp(Copy(_N + "A_log")),
    "layers.{i}.mixer.decay.bias": Copy(_N + "dt_bias"),
    "layers.{i}.mixer.norm.weight": Copy(_N + "norm.weight"),
    "layers.{i}.mixer.out.weight": First((Copy(_N + "out_proj.weight"), Copy(_A + "o_proj.weight"))),
}

WEIGHTS: Recipes = {
    **qwen2_moe.WEIGHTS,
    **DENSE,
    "layers.{i}.mixer.into.weight": Cat((Ungroup(Copy(_N + "in_proj_qkvz.weight")), Ungroup(Copy(_N + "in_proj_ba.weight")))),
}

_B = "blk.{i}."
_Q = Copy(_B + "attn_q.weight")
_OF_NETS = First((cat(_B + "attn_qkv.weight", _B + "attn_gate.weight"), Ungroup(Copy(_B + "ssm_in.weight"))))

# what replaces values, and decays, lie by key heads still; queries, keys, values and gates do not, but in older files
GGUF: Recipes = {
    **qwen2_moe.GGUF,
    **{f"layers.{{i}}.mixer.{p}_norm.weight": Copy(f"{_B}attn_{p}_norm.weight") for p in "qk"},
    "layers.{i}.mixer.qkv.weight": Cat((HalfRows(_Q, "queries"), Copy(_B + "attn_k.weight"), Copy(_B + "attn_v.weight"))),
    "layers.{i}.mixer.gate.weight": HalfRows(_Q, "gates"),
    "layers.{i}.mixer.into.weight": Cat((_OF_NETS, Ungroup(Copy(_B + "ssm_ba.weight")))),
    "layers.{i}.mixer.conv.weight": Copy(_B + "ssm_conv1d.weight"),
    "layers.{i}.mixer.decay.rate": Copy(_B + "ssm_a"),
    "layers.{i}.mixer.decay.bias": Copy(_B + "ssm_dt.bias"),
    "layers.{i}.mixer.norm.weight": Copy(_B + "ssm_norm.weight"),
    "layers.{i}.mixer.out.weight": First((Copy(_B + "ssm_out.weight"), Copy(_B + "attn_output.weight"))),
    "layers.{i}.norm2.weight": Copy(_B + "post_attention_norm.weight"),
}

NETS: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 24,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 6,
    "linear_key_head_dim": 12,
    "linear_value_head_dim": 10,
    "linear_conv_kernel_dim": 4,
    "layer_types": ["linear_attention", "linear_attention", "full_attention", "linear_attention"],
    "vocab_size": 256,
    "max_position_embeddings": 128,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.5},
    "tie_word_embeddings": False,
}

TINY: dict[str, Any] = {
    **NETS,
    "architectures": ["Qwen3NextForCausalLM"],
    "model_type": "qwen3_next",
    "num_experts": 7,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 40,
    "shared_expert_intermediate_size": 56,
    "mlp_only_layers": [1],
}
