"""UMT5 (arXiv 2304.09151): T5 v1.1 with a table of relative positions in every layer."""

from typing import Any

from models.families.encoder_decoder import t5
from models.hf import Config
from models.recipes import Recipes
from models.spec import Arch


def arch(config: Config) -> Arch:
    config.assume(feed_forward_proj="gated-gelu")
    return t5.encoder_decoder(config, shared=False)


WEIGHTS: Recipes = t5.WEIGHTS

TINY: dict[str, Any] = t5.TINY | {
    "architectures": ["UMT5ForConditionalGeneration"],
    "model_type": "umt5",
    "feed_forward_proj": "gated-gelu",
}
