"""GPT-NeoX and Pythia (arXiv 2204.06745, 2304.01373): mixer and feed-forward part side by side, each behind a LayerNorm
of its own; RoPE on the first quarter of a head."""

from typing import Any

from models.families.gpt import gpt2
from models.hf import Config, activation, rope
from models.recipes import Copy, Recipes, Ungroup, both
from models.spec import MLP, Arch, Attention, Layer, Norm


def arch(config: Config) -> Arch:
    config.assume(partial_rotary_factor=config.number("rotary_pct", 0.25), rope_theta=config.number("rotary_emb_base", 10_000.0))
    config.only("is_decoder", False, True)
    config.ignore("hidden_dropout", "classifier_dropout")
    dim, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    norm, bias = Norm(kind="layer", eps=config.number("layer_norm_eps", 1e-5)), config.flag("attention_bias", True)
    position = rope(config, dim // heads)
    mixer = Attention(heads=heads, kv_heads=heads, head_dim=dim // heads, position=position, bias=bias, out_bias=bias)
    ffn = MLP(hidden=config.integer("intermediate_size"), activation=activation(config, "hidden_act", "gelu"), gated=False, bias=True)
    placement = "parallel" if config.flag("use_parallel_residual", True) else "pre"
    return Arch(
        dim=dim,
        vocab=config.integer("vocab_size"),
        layers=(Layer(mixer=mixer, ffn=ffn, norm=norm, placement=placement),) * config.integer("num_hidden_layers"),
        norm=norm,
        tied=config.flag("tie_word_embeddings", False),
        context=config.integer("max_position_embeddings", 2048),
    )


_L = "gpt_neox.layers.{i}."

WEIGHTS: Recipes = {
    "embed.weight": Copy("gpt_neox.embed_in.weight"),
    **both("layers.{i}.norm1", _L + "input_layernorm"),
    **both("layers.{i}.mixer.qkv", _L + "attention.query_key_value", Ungroup),
    **both("layers.{i}.mixer.out", _L + "attention.dense"),
    **both("layers.{i}.norm2", _L + "post_attention_layernorm"),
    **both("layers.{i}.ffn.up", _L + "mlp.dense_h_to_4h"),
    **both("layers.{i}.ffn.down", _L + "mlp.dense_4h_to_h"),
    **both("norm", "gpt_neox.final_layer_norm"),
    "head.weight": Copy("embed_out.weight"),
}

GGUF = gpt2.GGUF

TINY: dict[str, Any] = {
    "architectures": ["GPTNeoXForCausalLM"],
    "model_type": "gpt_neox",
    "hidden_size": 72,
    "intermediate_size": 100,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "max_position_embeddings": 128,
    "vocab_size": 256,
}
