"""GLM-4-0414 and GLM-Z1 (Z.ai 2025): GLM with a second norm behind each part."""

from dataclasses import replace
from typing import Any

from models.families.changes import each
from models.families.dense import glm
from models.hf import Config
from models.recipes import Copy, Recipes
from models.spec import Arch


def arch(config: Config) -> Arch:
    return each(glm.decoder(config), lambda layer: replace(layer, placement="sandwich"))


WEIGHTS: Recipes = {
    **glm.WEIGHTS,
    "layers.{i}.norm1_post.weight": Copy("model.layers.{i}.post_self_attn_layernorm.weight"),
    "layers.{i}.norm2_post.weight": Copy("model.layers.{i}.post_mlp_layernorm.weight"),
}

GGUF: Recipes = {
    **glm.GGUF,
    "layers.{i}.norm1_post.weight": Copy("blk.{i}.post_attention_norm.weight"),
    "layers.{i}.norm2_post.weight": Copy("blk.{i}.post_ffw_norm.weight"),
}

TINY: dict[str, Any] = glm.TINY | {"architectures": ["Glm4ForCausalLM"], "model_type": "glm4"}
