"""SDAR (arXiv 2510.06303): Qwen3 whose tokens also see what comes behind them in their own block; blocks come one after the other."""

from dataclasses import replace
from typing import Any

from models.families.changes import each, masked
from models.families.dense import qwen3
from models.hf import Config
from models.recipes import Recipes
from models.spec import Arch, BlockCausal, Denoised


def arch(config: Config) -> Arch:
    """Its folders do not all say how long blocks are, nor which token is the mask: then it is as in the first ones."""
    config.only("use_sliding_window", None, False)
    config.ignore("fuse_cross_entropy", "debug", "ep_size")  # of training
    mask = BlockCausal(size=config.integer("block_size", 4))
    base = each(qwen3.arch(config), lambda layer: masked(layer, mask))
    return replace(base, output=Denoised(mask=config.integer("mask_token_id", 151669)))


WEIGHTS: Recipes = qwen3.WEIGHTS

TINY: dict[str, Any] = qwen3.TINY | {
    "architectures": ["SDARForCausalLM"],
    "model_type": "sdar",
    "block_size": 4,
    "mask_token_id": 255,
}
