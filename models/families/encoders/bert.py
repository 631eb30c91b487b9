"""BERT (arXiv 1810.04805) and what is built like it: MiniLM, E5, BGE, GTE, the cross-encoders of MS MARCO ..."""

from typing import Any

from models.hf import Config, activation
from models.recipes import Copy, Recipes, both, cat
from models.spec import MLP, Arch, Attention, Classifier, Dense, Full, Layer, Learned, Norm, Output, Pooled, Pooling

PREFIX = "bert."
UNUSED = r"(cls|pooler|classifier)\..*"


def arch(config: Config) -> Arch:
    config.assume(layer_norm_eps=1e-12)
    return encoder(config, config.integer("max_position_embeddings", 512))


def encoder(config: Config, positions: int) -> Arch:
    """Post-norm layers, all tokens of a sentence seeing each other, learned positions of which `positions` are usable."""
    for key, value in (("position_embedding_type", "absolute"), ("is_decoder", False), ("add_cross_attention", False)):
        config.only(key, value)
    config.ignore(*_NOT_OURS)
    dim, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    norm = Norm(kind="layer", eps=config.number("layer_norm_eps"))
    mixer = Attention(heads=heads, kv_heads=heads, head_dim=dim // heads, mask=Full(), bias=True, out_bias=True)
    ffn = MLP(hidden=config.integer("intermediate_size"), activation=activation(config, "hidden_act", "gelu"), gated=False, bias=True)
    return Arch(
        dim=dim,
        vocab=config.integer("vocab_size"),
        layers=(Layer(mixer=mixer, ffn=ffn, norm=norm, placement="post"),) * config.integer("num_hidden_layers"),
        norm=None,
        embed_norm=norm,
        position=Learned(count=positions),
        segments=config.integer("type_vocab_size", 2),
        output=output(config, Dense(width=dim, activation="tanh")),
        context=positions,
    )


def output(config: Config, hidden: Dense, pooling: Pooling = "cls") -> Output:
    """A classifier where the architecture is called one; otherwise what sentence-transformers takes an encoder to mean
    that says nothing about sentences: the mean."""
    if not config.first("architectures").endswith("ForSequenceClassification"):
        return Pooled()
    return Classifier(labels=config.size("id2label", config.integer("num_labels", 2)), pooling=(pooling,), hidden=hidden)


# of the masked-word head, or read by nobody although published
_NOT_OURS = (
    *("directionality", "output_past", "tie_word_embeddings"),
    *("pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type"),
)

_L, _A = "encoder.layer.{i}.", "encoder.layer.{i}.attention."

WEIGHTS: Recipes = {
    "embed.weight": Copy("embeddings.word_embeddings.weight"),
    "positions.weight": Copy("embeddings.position_embeddings.weight"),
    "segments.weight": Copy("embeddings.token_type_embeddings.weight"),
    **both("embed_norm", "embeddings.LayerNorm"),
    "layers.{i}.mixer.qkv.weight": cat(*(_A + f"self.{p}.weight" for p in ("query", "key", "value"))),
    "layers.{i}.mixer.qkv.bias": cat(*(_A + f"self.{p}.bias" for p in ("query", "key", "value"))),
    **both("layers.{i}.mixer.out", _A + "output.dense"),
    **both("layers.{i}.norm1", _A + "output.LayerNorm"),
    **both("layers.{i}.ffn.up", _L + "intermediate.dense"),
    **both("layers.{i}.ffn.down", _L + "output.dense"),
    **both("layers.{i}.norm2", _L + "output.LayerNorm"),
}

HEAD: Recipes = {**both("head.layers.0.linear", "pooler.dense"), **both("head.layers.1.linear", "classifier")}

TINY: dict[str, Any] = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "vocab_size": 256,
    "max_position_embeddings": 128,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
}
