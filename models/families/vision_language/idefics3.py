"""Idefics3 (arXiv 2408.12637) and SmolVLM (arXiv 2504.05299): SigLIP's rows, squares of which become one, and one layer. An image is
cut into tiles, each of which stands for itself among marks of its line and column."""

from typing import Any

from models.families.vision import siglip
from models.families.vision_language import llava
from models.families.vision_language.common import SIGLIP, siglip_tower, vision_part
from models.families.vision_language.common import text as text_of
from models.hf import Config
from models.recipes import Copy, Recipes
from models.spec import Arch, Dense, Merge, Vision


def text(config: Config) -> tuple[str, Config]:
    name, part = text_of("Idefics3ForConditionalGeneration", config)
    part.ignore("pixel_shuffle_factor", "use_resampler", "qk_layer_norms", "_flash_attn_2_enabled", "neftune_noise_alpha")
    part.ignore("perceiver_config", "is_llama_config")  # of earlier models
    return name, part


def vision(config: Config, text: Arch) -> Vision:
    config.ignore("image_seq_len", "vocab_size", "_pad_token_id")
    part = vision_part(config, siglip.IMAGE_DEFAULTS | {"image_size": 224, "patch_size": 32})
    part.ignore("max_image_size", "size", "tie_word_embeddings", "use_base_siglip", "num_image_tokens")
    connector = (Merge(side=config.integer("scale_factor", 2)), Dense(width=text.dim, bias=False))
    return Vision(tower=siglip_tower(part), connector=connector, marker=config.integer("image_token_id", 128_257))


VISION: Recipes = {**SIGLIP, "vision.connector.steps.1.linear.weight": Copy("projector.modality_projection.proj.weight")}

TINY: dict[str, Any] = {
    "architectures": ["Idefics3ForConditionalGeneration"],
    "model_type": "idefics3",
    "image_token_id": 250,
    "scale_factor": 2,
    "text_config": llava.TINY["text_config"],
    "vision_config": {key: value for key, value in llava.TINY["vision_config"].items() if key != "model_type"},
}
