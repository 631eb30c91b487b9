"""PaliGemma (arXiv 2407.07726): SigLIP and one layer before Gemma, whose whole prompt is seen both ways."""

from typing import Any

from models.families.vision import siglip
from models.families.vision_language import llava
from models.families.vision_language.common import SIGLIP, siglip_tower, vision_part
from models.families.vision_language.common import text as text_of
from models.hf import Config
from models.recipes import Recipes, both
from models.spec import Arch, Dense, Vision

# what files leave out that say no more than how they differ from Gemma 2B
_TEXT: dict[str, Any] = {
    "head_dim": 256,
    "max_position_embeddings": 8192,
    "hidden_activation": "gelu_pytorch_tanh",
    "rms_norm_eps": 1e-6,
    "num_key_value_heads": 1,
    "tie_word_embeddings": True,
}


def text(config: Config) -> tuple[str, Config]:
    name, part = text_of("PaliGemmaForConditionalGeneration", config)
    part.assume(**_TEXT)
    part.ignore("num_image_tokens")
    part.values.pop("use_bidirectional_attention", None)  # of prompts with an image: Vision.sees
    return name, part


def vision(config: Config, text: Arch) -> Vision:
    config.ignore("projection_dim", "hidden_size", "vocab_size", "num_hidden_layers", "_vocab_size", "ignore_index")
    part = vision_part(config, siglip.IMAGE_DEFAULTS)
    part.ignore("num_image_tokens", "projector_hidden_act", "num_positions")
    return Vision(tower=siglip_tower(part), connector=(Dense(width=text.dim),), marker=llava.marker(config), sees="prompt")


VISION: Recipes = {**SIGLIP, **both("vision.connector.steps.0.linear", "projector.linear")}

TINY: dict[str, Any] = {
    "architectures": ["PaliGemmaForConditionalGeneration"],
    "model_type": "paligemma",
    "image_token_index": 250,
    "projection_dim": 64,
    "text_config": llava.TINY["text_config"] | {"model_type": "gemma", "head_dim": 16, "tie_word_embeddings": True},
    "vision_config": llava.TINY["vision_config"] | {"model_type": "siglip_vision_model", "projection_dim": 64},
}
