"""Falcon (arXiv 2311.16867), in its three shapes: RW (ALiBi, one part after the other, biases), 7B (one key/value head, both
parts behind one norm) and 40B / 180B (groups of heads, a norm for each part)."""

from typing import Any, Literal

from models.families.gpt import gpt2
from models.hf import Config, activation, rope
from models.recipes import Copy, First, Recipes, Ungroup, both
from models.spec import MLP, Alibi, Arch, Attention, Layer, Norm


def arch(config: Config) -> Arch:
    config.ignore("hidden_dropout", "n_embed")
    dim, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    norm, bias = Norm(kind="layer", eps=config.number("layer_norm_epsilon", 1e-5)), config.flag("bias", False)
    hidden = config.integer("ffn_hidden_size", 4 * dim)
    ffn = MLP(hidden=hidden, activation=activation(config, "activation", "gelu"), gated=False, bias=bias)
    angles = rope(config, dim // heads)
    position = Alibi(scaled=True) if config.flag("alibi", False) else angles
    mixer = Attention(heads=heads, kv_heads=_kv_heads(config, heads), head_dim=dim // heads, position=position, bias=bias, out_bias=bias)
    return Arch(
        dim=dim,
        vocab=config.integer("vocab_size"),
        layers=(Layer(mixer=mixer, ffn=ffn, norm=norm, placement=_placement(config)),) * config.integer("num_hidden_layers"),
        norm=norm,
        tied=config.flag("tie_word_embeddings", True),
        context=config.integer("max_position_embeddings", 2048),
    )


def _new(config: Config) -> bool:
    return config.flag("new_decoder_architecture", False)


def _kv_heads(config: Config, heads: int) -> int:
    several, one = config.integer("num_kv_heads", heads), config.flag("multi_query", True)
    if _new(config):
        return several
    return 1 if one else heads


def _placement(config: Config) -> Literal["pre", "parallel", "parallel_shared"]:
    side_by_side, norms = config.flag("parallel_attn", True), config.integer("num_ln_in_parallel_attn", 2)
    if _new(config):
        return "parallel" if norms == 2 else "parallel_shared"
    return "parallel_shared" if side_by_side else "pre"


_L = "transformer.h.{i}."


def _norm1(field: str) -> First:
    """Beside a norm for the feed-forward part the mixer's has another name."""
    return First((Copy(_L + f"ln_attn.{field}"), Copy(_L + f"input_layernorm.{field}")))


def _norm2(field: str) -> First:
    return First((Copy(_L + f"ln_mlp.{field}"), Copy(_L + f"post_attention_layernorm.{field}")))


WEIGHTS: Recipes = {
    "embed.weight": Copy("transformer.word_embeddings.weight"),
    "layers.{i}.norm1.weight": _norm1("weight"),
    "layers.{i}.norm1.bias": _norm1("bias"),
    **both("layers.{i}.mixer.qkv", _L + "self_attention.query_key_value", Ungroup),
    **both("layers.{i}.mixer.out", _L + "self_attention.dense"),
    "layers.{i}.norm2.weight": _norm2("weight"),
    "layers.{i}.norm2.bias": _norm2("bias"),
    **both("layers.{i}.ffn.up", _L + "mlp.dense_h_to_4h"),
    **both("layers.{i}.ffn.down", _L + "mlp.dense_4h_to_h"),
    **both("norm", "transformer.ln_f"),
    "head.weight": Copy("lm_head.weight"),
}

GGUF: Recipes = {
    **gpt2.GGUF,
    **both("layers.{i}.norm2", "blk.{i}.attn_norm"),
    "layers.{i}.norm1.weight": First((Copy("blk.{i}.attn_norm_2.weight"), Copy("blk.{i}.attn_norm.weight"))),
    "layers.{i}.norm1.bias": First((Copy("blk.{i}.attn_norm_2.bias"), Copy("blk.{i}.attn_norm.bias"))),
}

TINY: dict[str, Any] = {
    "architectures": ["FalconForCausalLM"],
    "model_type": "falcon",
    "hidden_size": 72,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_kv_heads": 2,
    "new_decoder_architecture": True,
    "ffn_hidden_size": 100,
    "max_position_embeddings": 128,
    "vocab_size": 256,
}
