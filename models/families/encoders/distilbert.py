"""DistilBERT (arXiv 1910.01108): BERT with half the layers, no segments, and a pooler of its classifiers alone. Whether its
positions once were sinusoids changes nothing: the checkpoint holds them."""

from typing import Any

from models.families.encoders.bert import output
from models.hf import Config, activation
from models.recipes import Copy, Recipes, both, cat
from models.spec import MLP, Arch, Attention, Dense, Full, Layer, Learned, Norm

PREFIX = "distilbert."
UNUSED = r"(vocab_transform|vocab_layer_norm|vocab_projector|pre_classifier|classifier)\..*"


def arch(config: Config) -> Arch:
    config.ignore(*_NOT_OURS)
    dim, heads, positions = config.integer("dim"), config.integer("n_heads"), config.integer("max_position_embeddings", 512)
    norm = Norm(kind="layer", eps=1e-12)
    mixer = Attention(heads=heads, kv_heads=heads, head_dim=dim // heads, mask=Full(), bias=True, out_bias=True)
    ffn = MLP(hidden=config.integer("hidden_dim"), activation=activation(config, "activation", "gelu"), gated=False, bias=True)
    return Arch(
        dim=dim,
        vocab=config.integer("vocab_size"),
        layers=(Layer(mixer=mixer, ffn=ffn, norm=norm, placement="post"),) * config.integer("n_layers"),
        norm=None,
        embed_norm=norm,
        position=Learned(count=positions),
        output=output(config, Dense(width=dim, activation="relu")),
        context=positions,
    )


_NOT_OURS = ("dropout", "output_past", "qa_dropout", "seq_classif_dropout", "sinusoidal_pos_embds", "tie_weights_", "tie_word_embeddings")

_L, _T = "layers.{i}.", "transformer.layer.{i}."

WEIGHTS: Recipes = {
    "embed.weight": Copy("embeddings.word_embeddings.weight"),
    "positions.weight": Copy("embeddings.position_embeddings.weight"),
    **both("embed_norm", "embeddings.LayerNorm"),
    _L + "mixer.qkv.weight": cat(*(_T + f"attention.{p}_lin.weight" for p in "qkv")),
    _L + "mixer.qkv.bias": cat(*(_T + f"attention.{p}_lin.bias" for p in "qkv")),
    **both(_L + "mixer.out", _T + "attention.out_lin"),
    **both(_L + "norm1", _T + "sa_layer_norm"),
    **both(_L + "ffn.up", _T + "ffn.lin1"),
    **both(_L + "ffn.down", _T + "ffn.lin2"),
    **both(_L + "norm2", _T + "output_layer_norm"),
}

HEAD: Recipes = {**both("head.layers.0.linear", "pre_classifier"), **both("head.layers.1.linear", "classifier")}

TINY: dict[str, Any] = {
    "architectures": ["DistilBertModel"],
    "model_type": "distilbert",
    "dim": 64,
    "hidden_dim": 96,
    "n_layers": 3,
    "n_heads": 4,
    "vocab_size": 256,
    "max_position_embeddings": 128,
}
