"""SigLIP 2 (arXiv 2502.14786) in its NaFlex form: images keep their proportions, and the table of positions is stretched over each. In
its other form it is SigLIP itself."""

from math import isqrt
from typing import Any

from models.families.vision import siglip
from models.families.vision.common import part_of
from models.hf import Config, ConfigError
from models.recipes import Copy, PatchMatrix, Recipes
from models.spec import Grid, Pair, Patches

_IMAGE: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
    "num_channels": 3,
    "patch_size": 16,
    "num_patches": 256,
}


def pair(config: Config) -> Pair:
    image = part_of(config, "vision_config", _IMAGE)
    count = image.integer("num_patches")
    side = isqrt(count)
    if side * side != count:
        raise ConfigError(f"{image.where}: num_patches = {count} must be a square: that of the table of positions")
    grid = Grid(rows=side, columns=side, stretch="bilinear")
    return siglip.paired(config, image, Patches(size=image.integer("patch_size"), grid=grid, channels=image.integer("num_channels")))


TEXT: Recipes = siglip.TEXT

IMAGE: Recipes = {
    **siglip.IMAGE,
    "embed.patches.weight": PatchMatrix(Copy("vision_model.embeddings.patch_embedding.weight"), channels="last"),
}

_VISION = {key: value for key, value in siglip.TINY["vision_config"].items() if key != "image_size"}

TINY: dict[str, Any] = siglip.TINY | {
    "architectures": ["Siglip2Model"],
    "model_type": "siglip2",
    "vision_config": _VISION | {"num_patches": 36},
}
