"""BLOOM (arXiv 2211.05100): LayerNorm, also on the embedding; ALiBi instead of positions."""

from typing import Any

from models.families.gpt import gpt2
from models.hf import Config
from models.recipes import Copy, Recipes, Ungroup, both
from models.spec import MLP, Alibi, Arch, Attention, Layer, Norm

# ALiBi has no last position: the length that BLOOM was trained with
_CONTEXT = 2048


def arch(config: Config) -> Arch:
    config.only("apply_residual_connection_post_layernorm", False)
    config.ignore(*_NOT_OURS)
    dim = config.integer("hidden_size", config.integer("n_embed", 64))
    heads = config.integer("n_head", config.integer("num_attention_heads", 8))
    norm = Norm(kind="layer", eps=config.number("layer_norm_epsilon", 1e-5))
    mixer = Attention(heads=heads, kv_heads=heads, head_dim=dim // heads, position=Alibi(), bias=True, out_bias=True)
    ffn = MLP(hidden=4 * dim, activation="gelu_tanh", gated=False, bias=True)
    return Arch(
        dim=dim,
        vocab=config.integer("vocab_size"),
        layers=(Layer(mixer=mixer, ffn=ffn, norm=norm),) * config.integer("n_layer", config.integer("num_hidden_layers", 2)),
        norm=norm,
        tied=config.flag("tie_word_embeddings", True),
        embed_norm=norm,
        context=config.integer("seq_length", _CONTEXT),
    )


_NOT_OURS = (
    "attention_softmax_in_fp32",
    "bias_dropout_fusion",
    "hidden_dropout",
    "masked_softmax_fusion",
    "offset_alibi",
    "skip_bias_add",
    "skip_bias_add_qkv",
    "slow_but_exact",
    "unk_token_id",
)

_L = "transformer.h.{i}."

WEIGHTS: Recipes = {
    "embed.weight": Copy("transformer.word_embeddings.weight"),
    **both("embed_norm", "transformer.word_embeddings_layernorm"),
    **both("layers.{i}.norm1", _L + "input_layernorm"),
    **both("layers.{i}.mixer.qkv", _L + "self_attention.query_key_value", Ungroup),
    **both("layers.{i}.mixer.out", _L + "self_attention.dense"),
    **both("layers.{i}.norm2", _L + "post_attention_layernorm"),
    **both("layers.{i}.ffn.up", _L + "mlp.dense_h_to_4h"),
    **both("layers.{i}.ffn.down", _L + "mlp.dense_4h_to_h"),
    **both("norm", "transformer.ln_f"),
    "head.weight": Copy("lm_head.weight"),
}

GGUF: Recipes = {
    **gpt2.GGUF,
    **both("embed_norm", "token_embd_norm"),
}

TINY: dict[str, Any] = {
    "architectures": ["BloomForCausalLM"],
    "model_type": "bloom",
    "hidden_size": 60,
    "n_layer": 3,
    "n_head": 6,
    "seq_length": 128,
    "vocab_size": 256,
}
