"""Dream (arXiv 2508.15487): Qwen2 whose tokens see the whole text; each token's logits are those of the row before it."""

from dataclasses import replace
from typing import Any

from models.families.changes import each, masked
from models.families.dense import qwen2
from models.hf import Config
from models.recipes import Recipes
from models.spec import Arch, Denoised, Full


def arch(config: Config) -> Arch:
    config.only("use_sliding_window", None, False)
    base = each(qwen2.arch(config), lambda layer: masked(layer, Full()))
    return replace(base, output=Denoised(mask=config.integer("mask_token_id"), shifted=True))


WEIGHTS: Recipes = qwen2.WEIGHTS

TINY: dict[str, Any] = qwen2.TINY | {
    "architectures": ["DreamModel"],
    "model_type": "Dream",
    "use_sliding_window": False,
    "sliding_window": None,
    "mask_token_id": 255,
}
