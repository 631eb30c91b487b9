"""ALBERT (arXiv 1909.11942): BERT all of whose layers have the same weights, behind an embedding that is narrower than they."""

from dataclasses import replace
from typing import Any

from models.families.encoders import bert
from models.hf import Config
from models.recipes import Copy, Recipes, both, cat
from models.spec import Arch, Layer

PREFIX = "albert."
UNUSED = r"(predictions|sop_classifier|pooler|classifier)\..*"


def arch(config: Config) -> Arch:
    config.assume(layer_norm_eps=1e-12, hidden_act="gelu_new", embedding_size=128)
    config.ignore("classifier_dropout_prob")
    for key, value in _ONLY.items():
        config.only(key, value)
    base, narrow = bert.encoder(config, config.integer("max_position_embeddings", 512)), config.integer("embedding_size")
    return replace(base, embed_dim=narrow, layers=_shared(base.layers))


def _shared(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    return layers[:1] + tuple(replace(layer, weights_of=0) for layer in layers[1:])


_ONLY: dict[str, Any] = {
    "num_hidden_groups": 1,
    "inner_group_num": 1,
    "down_scale_factor": 1,
    "gap_size": 0,
    "layers_to_keep": [],
    "net_structure_type": 0,
    "num_memory_blocks": 0,
}

_L, _T = "layers.{i}.", "encoder.albert_layer_groups.0.albert_layers.0."

WEIGHTS: Recipes = {
    "embed.weight": Copy("embeddings.word_embeddings.weight"),
    "positions.weight": Copy("embeddings.position_embeddings.weight"),
    "segments.weight": Copy("embeddings.token_type_embeddings.weight"),
    **both("embed_norm", "embeddings.LayerNorm"),
    **both("widen", "encoder.embedding_hidden_mapping_in"),
    _L + "mixer.qkv.weight": cat(*(_T + f"attention.{p}.weight" for p in ("query", "key", "value"))),
    _L + "mixer.qkv.bias": cat(*(_T + f"attention.{p}.bias" for p in ("query", "key", "value"))),
    **both(_L + "mixer.out", _T + "attention.dense"),
    **both(_L + "norm1", _T + "attention.LayerNorm"),
    **both(_L + "ffn.up", _T + "ffn"),
    **both(_L + "ffn.down", _T + "ffn_output"),
    **both(_L + "norm2", _T + "full_layer_layer_norm"),
}

HEAD: Recipes = {**both("head.layers.0.linear", "pooler"), **both("head.layers.1.linear", "classifier")}

TINY: dict[str, Any] = bert.TINY | {
    "architectures": ["AlbertModel"],
    "model_type": "albert",
    "embedding_size": 32,
    "hidden_act": "gelu_new",
}
