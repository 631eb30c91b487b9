"""StarCoder2 (arXiv 2402.19173): Llama's attention between LayerNorms, with a plain tanh-GELU and biases everywhere."""

from typing import Any

from models.families.dense import llama
from models.families.dense.mistral import windowed
from models.hf import Config, activation, rope
from models.recipes import Copy, Recipes, both
from models.spec import MLP, Arch, Attention, Layer, Norm


def arch(config: Config) -> Arch:
    config.assume(num_key_value_heads=2)
    config.ignore("residual_dropout", "embedding_dropout", "mlp_type", "norm_type")
    dim, heads, bias = config.integer("hidden_size"), config.integer("num_attention_heads"), config.flag("use_bias", True)
    norm, position = Norm(kind="layer", eps=config.number("norm_epsilon", 1e-5)), rope(config, dim // heads)
    kv_heads = config.integer("num_key_value_heads")
    mixer = Attention(heads=heads, kv_heads=kv_heads, head_dim=dim // heads, position=position, bias=bias, out_bias=bias)
    act = activation(config, "hidden_act", "gelu_pytorch_tanh")
    layer = Layer(mixer=mixer, ffn=MLP(hidden=config.integer("intermediate_size"), activation=act, gated=False, bias=bias), norm=norm)
    base = Arch(
        dim=dim,
        vocab=config.integer("vocab_size"),
        layers=(layer,) * config.integer("num_hidden_layers"),
        norm=norm,
        tied=config.flag("tie_word_embeddings", True),
        context=llama.context(config, position),
    )
    return windowed(base, config)


_L = "model.layers.{i}."

WEIGHTS: Recipes = {
    **llama.WEIGHTS,
    "layers.{i}.norm1.bias": Copy(_L + "input_layernorm.bias"),
    "layers.{i}.norm2.bias": Copy(_L + "post_attention_layernorm.bias"),
    **both("layers.{i}.ffn.up", _L + "mlp.c_fc"),
    **both("layers.{i}.ffn.down", _L + "mlp.c_proj"),
    "norm.bias": Copy("model.norm.bias"),
}

GGUF: Recipes = {
    **llama.GGUF_PLAIN,
    "layers.{i}.norm1.bias": Copy("blk.{i}.attn_norm.bias"),
    "layers.{i}.norm2.bias": Copy("blk.{i}.ffn_norm.bias"),
    **both("layers.{i}.ffn.up", "blk.{i}.ffn_up"),
    "norm.bias": Copy("output_norm.bias"),
}

TINY: dict[str, Any] = {
    "architectures": ["Starcoder2ForCausalLM"],
    "model_type": "starcoder2",
    "hidden_size": 64,
    "intermediate_size": 100,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 256,
    "max_position_embeddings": 128,
    "sliding_window": 5,
}
