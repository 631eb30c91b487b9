"""Gemma 3 that reads images (arXiv 2503.19786): SigLIP's rows, of which squares are averaged, normed, and seen both ways within an
image."""

from math import isqrt
from typing import Any

from models.families.dense import gemma
from models.families.dense.gemma3 import TINY as TEXT
from models.families.multimodal import inner
from models.families.vision import siglip
from models.families.vision_language import llava
from models.families.vision_language.common import SIGLIP, siglip_tower, vision_part
from models.hf import Config, ConfigError
from models.recipes import Copy, Recipes, Transpose
from models.spec import Arch, Dense, Mean, Norm, Vision


def text(config: Config) -> tuple[str, Config]:
    return "Gemma3ForCausalLM", inner("Gemma3ForConditionalGeneration", config)


def vision(config: Config, text: Arch) -> Vision:
    config.ignore("boi_token_index", "eoi_token_index", "boi_token_id", "eoi_token_id")  # text around an image
    part = vision_part(config, siglip.IMAGE_DEFAULTS | {"image_size": 896, "patch_size": 14})
    tower, rows = siglip_tower(part), config.integer("mm_tokens_per_image", 256)
    side, lines = isqrt(rows), isqrt(tower.context)
    if side * side != rows or lines % side:
        raise ConfigError(f"{config.where}: mm_tokens_per_image = {rows} must be the square of a number that divides {lines}")
    norm = Norm(eps=part.number("layer_norm_eps"))
    connector = (Mean(side=lines // side), norm, Dense(width=text.dim, bias=False))
    return Vision(tower=tower, connector=connector, marker=llava.marker(config), sees="image")


VISION: Recipes = {
    **SIGLIP,
    "vision.connector.steps.1.weight": gemma.shifted("projector.mm_soft_emb_norm.weight"),
    "vision.connector.steps.2.linear.weight": Transpose(Copy("projector.mm_input_projection_weight")),
}

TINY: dict[str, Any] = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "model_type": "gemma3",
    "image_token_index": 250,
    "boi_token_index": 248,
    "eoi_token_index": 249,
    "mm_tokens_per_image": 9,
    "text_config": {key: value for key, value in TEXT.items() if key != "architectures"}
    | {"vocab_size": 256, "final_logit_softcapping": None},
    "vision_config": llava.TINY["vision_config"] | {"model_type": "siglip_vision_model"},
}
