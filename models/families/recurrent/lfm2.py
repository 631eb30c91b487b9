"""LFM2 (Liquid AI 2025): gated short convolutions, and in some layers grouped attention with a norm on each head."""

from typing import Any

from models.families.changes import each, ffn, mixer, where
from models.families.dense import llama, qwen3
from models.families.recurrent import mamba
from models.hf import Config, ConfigError
from models.recipes import Copy, First, Recipes, Taps, both, cat
from models.spec import MLP, Arch, Layer, QKNorm, ShortConv

# how the weights were drawn, and widths that published files repeat
_NOT_OURS = (
    "block_dim",
    "block_mlp_init_scale",
    "block_norm_eps",
    "block_out_init_scale",
    "block_use_swiglu",
    "block_use_xavier_init",
    "conv_dim",
    "conv_dim_out",
    "conv_use_xavier_init",
    "num_heads",
    "use_pos_enc",
)


def arch(config: Config) -> Arch:
    config.ignore(*_NOT_OURS)
    assume(config)
    config.assume(intermediate_size=config.integer("block_ff_dim", 12288))
    return hybrid(each(llama.decoder(config), lambda layer: ffn(layer, hidden=_hidden(config, layer))), config)


def assume(config: Config) -> None:
    config.assume(num_key_value_heads=8, rope_theta=1_000_000.0, max_position_embeddings=128_000)
    config.assume(tie_word_embeddings=config.flag("tie_embedding", True), rms_norm_eps=config.number("norm_eps", 1e-5))


def hybrid(base: Arch, config: Config) -> Arch:
    """Llama's layers with norms on heads, most with a convolution in place of attention."""
    attends = _attends(config, len(base.layers))
    normed = where(base, attends, lambda layer: mixer(layer, qk_norm=QKNorm(norm=layer.norm)))
    conv = ShortConv(channels=base.dim, kernel=config.integer("conv_L_cache", 3), bias=config.flag("conv_bias", False))
    return where(normed, [not is_full for is_full in attends], lambda layer: Layer(mixer=conv, ffn=layer.ffn, norm=layer.norm))


def _hidden(config: Config, layer: Layer) -> int:
    """The stated width, or (by default) two thirds of it, rounded up."""
    assert isinstance(layer.ffn, MLP)
    adjust, factor = config.flag("block_auto_adjust_ff_dim", True), config.number("block_ffn_dim_multiplier", 1.0)
    multiple = config.integer("block_multiple_of", 256)
    return -(-int(factor * int(2 * layer.ffn.hidden / 3)) // multiple) * multiple if adjust else layer.ffn.hidden


def _attends(config: Config, count: int) -> list[bool]:
    older = config.integers("full_attn_idxs")
    indices = range(count) if older is None else older
    types = config.items("layer_types", str) or tuple("full_attention" if i in indices else "conv" for i in range(count))
    if len(types) != count or set(types) - {"full_attention", "conv"}:
        raise ConfigError(f"{config.where}: layer_types must say full_attention or conv for each of {count} layers, not {list(types)}")
    return [kind == "full_attention" for kind in types]


_L = "model.layers.{i}."

WEIGHTS: Recipes = {
    "embed.weight": Copy("model.embed_tokens.weight"),
    "layers.{i}.norm1.weight": Copy(_L + "operator_norm.weight"),
    "layers.{i}.mixer.qkv.weight": cat(*(_L + f"self_attn.{p}_proj.weight" for p in "qkv")),
    "layers.{i}.mixer.q_norm.weight": Copy(_L + "self_attn.q_layernorm.weight"),
    "layers.{i}.mixer.k_norm.weight": Copy(_L + "self_attn.k_layernorm.weight"),
    **both("layers.{i}.mixer.into", _L + "conv.in_proj"),
    "layers.{i}.mixer.conv.weight": Taps(Copy(_L + "conv.conv.weight")),
    "layers.{i}.mixer.conv.bias": Copy(_L + "conv.conv.bias"),
    "layers.{i}.mixer.out.weight": First((Copy(_L + "conv.out_proj.weight"), Copy(_L + "self_attn.out_proj.weight"))),
    "layers.{i}.mixer.out.bias": Copy(_L + "conv.out_proj.bias"),
    "layers.{i}.norm2.weight": Copy(_L + "ffn_norm.weight"),
    "layers.{i}.ffn.up.weight": cat(_L + "feed_forward.w1.weight", _L + "feed_forward.w3.weight"),
    "layers.{i}.ffn.down.weight": Copy(_L + "feed_forward.w2.weight"),
    "norm.weight": Copy("model.embedding_norm.weight"),
    "head.weight": Copy("lm_head.weight"),
}

_B = "blk.{i}."

GGUF: Recipes = {
    **qwen3.GGUF,
    **both("layers.{i}.mixer.into", _B + "shortconv.in_proj"),
    **both("layers.{i}.mixer.conv", _B + "shortconv.conv"),
    **mamba.gguf_out("shortconv.out_proj"),
    "norm.weight": Copy("token_embd_norm.weight"),
}

TINY: dict[str, Any] = {
    "architectures": ["Lfm2ForCausalLM"],
    "model_type": "lfm2",
    "hidden_size": 64,
    "vocab_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 120,
    "block_multiple_of": 16,
    "conv_L_cache": 4,
    "conv_bias": True,
    "layer_types": ["conv", "full_attention", "conv", "full_attention"],
    "max_position_embeddings": 128,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    "tie_word_embeddings": True,
}
