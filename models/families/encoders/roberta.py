"""RoBERTa and XLM-RoBERTa (arXiv 1907.11692, 1911.02116): BERT whose checkpoints count positions from 2 on."""

from typing import Any

from models.families.encoders import bert
from models.hf import Config
from models.recipes import Copy, Recipes, Rows
from models.spec import Arch

PREFIX = "roberta."
UNUSED = r"(lm_head|pooler|classifier)\..*"
_FIRST = 2  # the row of position 0: after the padding's, whose number is 1


def arch(config: Config) -> Arch:
    config.assume(layer_norm_eps=1e-12)
    config.only("pad_token_id", _FIRST - 1)
    return bert.encoder(config, config.integer("max_position_embeddings", 512) - _FIRST)


WEIGHTS: Recipes = {**bert.WEIGHTS, "positions.weight": Rows(Copy("embeddings.position_embeddings.weight"), _FIRST)}

HEAD: Recipes = {
    "head.layers.0.linear.weight": Copy("classifier.dense.weight"),
    "head.layers.0.linear.bias": Copy("classifier.dense.bias"),
    "head.layers.1.linear.weight": Copy("classifier.out_proj.weight"),
    "head.layers.1.linear.bias": Copy("classifier.out_proj.bias"),
}

TINY: dict[str, Any] = bert.TINY | {
    "architectures": ["XLMRobertaModel"],
    "model_type": "xlm-roberta",
    "max_position_embeddings": 130,
    "type_vocab_size": 1,
    "pad_token_id": 1,
}
