"""Falcon-H1 (TII 2025, arXiv 2507.22448): attention and Mamba-2 side by side in every layer. Multipliers of what goes into a part and
comes out of it (muP, arXiv 2203.03466) are those of its matrices here: weights are multiplied when they are read."""

from dataclasses import replace
from typing import Any

from models.families.changes import beside, each
from models.families.dense import llama
from models.families.hybrid import bamba, jamba
from models.families.recurrent import mamba, mamba2
from models.hf import Config, ConfigError
from models.recipes import Alias, Copy, Recipe, Recipes, ScaleRows, both, cat
from models.spec import FFN, MLP, Arch, Attention, Mamba2, Next, Norm, Single, mixers

MULTIPLIERS = (
    *("attention_in_multiplier", "attention_out_multiplier", "key_multiplier", "mlp_multipliers"),
    *("ssm_in_multiplier", "ssm_multipliers", "ssm_out_multiplier"),
)


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.only("mamba_use_mlp", True)
    config.only("attn_layer_indices", None)
    config.ignore(*mamba.TRAINING, *bamba.IGNORED, *MULTIPLIERS, "mamba_expand", "mlp_expansion_factor", "time_step_rank")
    config.assume(num_key_value_heads=8, rms_norm_eps=1e-5, max_position_embeddings=8192, mamba_d_ssm=1024)
    bias = config.flag("attention_bias", False)
    base = llama.decoder(config, bias=bias, out_bias=bias, mlp_bias=config.flag("mlp_bias", False))
    state = _state(config, base.norm)
    hybrid = each(base, lambda layer: beside(layer, state))
    output = Next(scale=config.number("lm_head_multiplier", 1.0))
    return replace(hybrid, embed_scale=config.number("embedding_multiplier", 1.0), output=output)


def _state(config: Config, norm: Norm | None) -> Mamba2:
    config.only("projectors_bias", config.flag("mamba_proj_bias", False))
    normed, first = config.flag("mamba_rms_norm", False), config.flag("mamba_norm_before_gate", True)
    state = bamba.mamba2(config, norm if normed else None, config.optional_integer("mamba_d_ssm"))
    return replace(state, norm_first=normed and first)


_L = "model.layers.{i}."
_A, _M, _F = _L + "self_attn.", _L + "mamba.", _L + "feed_forward."


def weights(config: Config) -> Recipes:
    layer = arch(config).layers[0]
    attention, state = mixers(layer)
    return {
        **{name: recipe for name, recipe in jamba.FRAME.items() if ".mixer." not in name},
        **_of_attention(config, attention),
        **_of_state(config, state),
        **_of_mlp(config, layer.ffn),
    }


def _of_attention(config: Config, spec: Single) -> Recipes:
    assert isinstance(spec, Attention)
    read, keys = config.number("attention_in_multiplier", 1.0), config.number("key_multiplier", 1.0)
    of_q, of_k = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim

    def qkv(field: str, all_of_them: float) -> Recipe:
        runs = ((of_q, all_of_them), (of_k, all_of_them * keys), (of_k, all_of_them))
        return ScaleRows(cat(*(f"{_A}{p}_proj.{field}" for p in "qkv")), runs)

    return {
        "layers.{i}.mixer.0.qkv.weight": qkv("weight", read),
        "layers.{i}.mixer.0.qkv.bias": qkv("bias", 1.0),
        **_scaled("layers.{i}.mixer.0.out", _A + "o_proj", config.integer("hidden_size"), config.number("attention_out_multiplier", 1.0)),
    }


def _of_state(config: Config, spec: Single) -> Recipes:
    assert isinstance(spec, Mamba2)
    read, parts = config.number("ssm_in_multiplier", 1.0), config.items("ssm_multipliers", float) or (1.0,) * 5
    if len(parts) != 5:
        raise ConfigError(f"{config.where}: ssm_multipliers must be five numbers, not {len(parts)}")
    inner, shared = spec.heads * spec.head_dim, spec.groups * spec.state
    sizes = (inner, inner, shared, shared, spec.heads)  # gate, x, B, C, step
    ours, by = "layers.{i}.mixer.1.", tuple(zip(sizes, parts, strict=True))
    return {
        **mamba.state(_M, ours),
        ours + "into.weight": ScaleRows(Copy(_M + "in_proj.weight"), tuple((size, read * part) for size, part in by)),
        ours + "into.bias": ScaleRows(Copy(_M + "in_proj.bias"), by),
        **_scaled(ours + "out", _M + "out_proj", config.integer("hidden_size"), config.number("ssm_out_multiplier", 1.0)),
        **mamba2.further(_M, ours),
    }


def _of_mlp(config: Config, spec: FFN | None) -> Recipes:
    assert isinstance(spec, MLP)
    gate, down = config.items("mlp_multipliers", float) or (1.0, 1.0)
    up = {field: cat(f"{_F}gate_proj.{field}", f"{_F}up_proj.{field}") for field in ("weight", "bias")}
    return {
        **{f"layers.{{i}}.ffn.up.{field}": ScaleRows(part, ((spec.hidden, gate), (spec.hidden, 1.0))) for field, part in up.items()},
        **_scaled("layers.{i}.ffn.down", _F + "down_proj", config.integer("hidden_size"), down),
    }


def _scaled(ours: str, theirs: str, rows: int, by: float) -> Recipes:
    return {f"{ours}.{field}": ScaleRows(Copy(f"{theirs}.{field}"), ((rows, by),)) for field in ("weight", "bias")}


WEIGHTS = weights

_GGUF_STATE = {name.replace(".mixer.", ".mixer.1."): recipe for name, recipe in mamba2.GGUF_STATE.items()}

# everything is multiplied already, rows of the embedding and logits as well
GGUF: Recipes = {
    **{name.replace(".mixer.", ".mixer.0."): recipe for name, recipe in llama.GGUF_PLAIN.items()},
    **_GGUF_STATE,
    **both("layers.{i}.mixer.1.out", "blk.{i}.ssm_out"),
    "layers.{i}.norm2.weight": Alias((Copy("blk.{i}.ffn_norm"), Copy("blk.{i}.ffn_norm.weight"))),
}

TINY: dict[str, Any] = {
    **{key: value for key, value in bamba.TINY.items() if key != "attn_layer_indices"},
    "architectures": ["FalconH1ForCausalLM"],
    "model_type": "falcon_h1",
    "num_hidden_layers": 3,
    "mamba_d_ssm": 60,
    "mamba_d_head": 10,
    "mamba_rms_norm": True,
    "mamba_norm_before_gate": True,
    "embedding_multiplier": 3.0,
    "lm_head_multiplier": 0.6,
    "attention_in_multiplier": 0.8,
    "attention_out_multiplier": 1.2,
    "key_multiplier": 0.7,
    "ssm_in_multiplier": 1.3,
    "ssm_out_multiplier": 0.9,
    "ssm_multipliers": [0.7, 1.3, 0.6, 1.4, 0.5],
    "mlp_multipliers": [0.8, 1.1],
}
