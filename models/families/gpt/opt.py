"""OPT (arXiv 2205.01068): GPT-2 with ReLU; the table of positions begins with two rows that nobody reads. The one of 350
million parameters puts its norms behind, and its embedding is narrower than its body."""

from typing import Any

from models.families.gpt.gpt2 import mixer
from models.hf import Config, activation
from models.recipes import Copy, Recipes, Rows, both, cat
from models.spec import MLP, Arch, Layer, Learned, Norm

_UNREAD_ROWS = 2


def arch(config: Config) -> Arch:
    config.only("enable_bias", True)
    config.only("layer_norm_elementwise_affine", True)
    config.ignore("dropout", "layerdrop", "init_std", "activation_dropout")
    dim, heads, positions = config.integer("hidden_size"), config.integer("num_attention_heads"), config.integer("max_position_embeddings")
    before, bare = config.flag("do_layer_norm_before", True), config.flag("_remove_final_layer_norm", False)
    norm = Norm(kind="layer", eps=1e-5)
    ffn = MLP(hidden=config.integer("ffn_dim"), activation=activation(config, "activation_function", "relu"), gated=False, bias=True)
    layer = Layer(mixer=mixer(heads, dim // heads), ffn=ffn, norm=norm, placement="pre" if before else "post")
    narrow = config.integer("word_embed_proj_dim", dim)
    return Arch(
        dim=dim,
        vocab=config.integer("vocab_size"),
        layers=(layer,) * config.integer("num_hidden_layers"),
        norm=norm if before and not bare else None,
        tied=config.flag("tie_word_embeddings", True),
        embed_dim=None if narrow == dim else narrow,
        position=Learned(count=positions),
        context=positions,
    )


_L = "model.decoder.layers.{i}."

WEIGHTS: Recipes = {
    "embed.weight": Copy("model.decoder.embed_tokens.weight"),
    "widen.weight": Copy("model.decoder.project_in.weight"),
    "positions.weight": Rows(Copy("model.decoder.embed_positions.weight"), _UNREAD_ROWS),
    **both("layers.{i}.norm1", _L + "self_attn_layer_norm"),
    "layers.{i}.mixer.qkv.weight": cat(*(_L + f"self_attn.{p}_proj.weight" for p in "qkv")),
    "layers.{i}.mixer.qkv.bias": cat(*(_L + f"self_attn.{p}_proj.bias" for p in "qkv")),
    **both("layers.{i}.mixer.out", _L + "self_attn.out_proj"),
    **both("layers.{i}.norm2", _L + "final_layer_norm"),
    **both("layers.{i}.ffn.up", _L + "fc1"),
    **both("layers.{i}.ffn.down", _L + "fc2"),
    **both("norm", "model.decoder.final_layer_norm"),
    "narrow.weight": Copy("model.decoder.project_out.weight"),
    "head.weight": Copy("lm_head.weight"),
}

TINY: dict[str, Any] = {
    "architectures": ["OPTForCausalLM"],
    "model_type": "opt",
    "hidden_size": 60,
    "ffn_dim": 100,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "word_embed_proj_dim": 60,
    "max_position_embeddings": 128,
    "vocab_size": 256,
}
