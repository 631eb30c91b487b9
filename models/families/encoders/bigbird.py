"""BigBird (arXiv 2007.14062): BERT with block-sparse attention, as transformers evaluates it (models.spec.BlockSparse)."""

from dataclasses import replace
from typing import Any

from models.families.changes import each, mixer
from models.families.encoders import bert
from models.hf import Config, activation
from models.recipes import Recipes, both
from models.spec import Arch, BlockSparse, Dense, Full, Mask

PREFIX = "bert."
UNUSED = r"(cls|pooler|classifier)\..*"


def arch(config: Config) -> Arch:
    config.assume(layer_norm_eps=1e-12, hidden_act="gelu_new")
    arch = bert.encoder(config, config.integer("max_position_embeddings", 4096))
    mask, bias = _mask(config), config.flag("use_bias", True)
    hidden = Dense(width=arch.dim, activation=activation(config, "hidden_act"))
    return replace(
        each(arch, lambda layer: mixer(layer, mask=mask, bias=bias)),
        embed_scale=arch.dim**0.5 if config.flag("rescale_embeddings", False) else 1.0,
        output=bert.output(config, hidden),
    )


def _mask(config: Config) -> Mask:
    config.only("attention_type", "block_sparse", "original_full")
    size, random = config.integer("block_size", 64), config.integer("num_random_blocks", 3)
    return Full() if config.text("attention_type", "block_sparse") == "original_full" else BlockSparse(size=size, random=random)


WEIGHTS = bert.WEIGHTS

HEAD: Recipes = {**both("head.layers.0.linear", "classifier.dense"), **both("head.layers.1.linear", "classifier.out_proj")}

TINY: dict[str, Any] = bert.TINY | {
    "architectures": ["BigBirdModel"],
    "model_type": "big_bird",
    "hidden_act": "gelu_new",
    "block_size": 4,
    "num_random_blocks": 1,
    "rescale_embeddings": True,
}
