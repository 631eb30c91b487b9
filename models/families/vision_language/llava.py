"""LLaVA 1.5 (arXiv 2304.08485, 2310.03744): CLIP's or SigLIP's rows, two layers, and a text model that reads them like tokens."""

from typing import Any

from models.families.vision import siglip
from models.families.vision_language.common import CLIP, SIGLIP, clip_tower, siglip_tower, two_layers, vision_part
from models.families.vision_language.common import text as text_of
from models.hf import Config, ConfigError, activation
from models.recipes import Recipes
from models.spec import Arch, Dense, Tower, Vision

# what files of CLIP ViT-L/14 at 336 pixels leave out
_VISION: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_channels": 3,
    "image_size": 336,
    "patch_size": 14,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}


def text(config: Config) -> tuple[str, Config]:
    return text_of("LlavaForConditionalGeneration", config)


def vision(config: Config, text: Arch) -> Vision:
    config.ignore("image_seq_length")  # which follows from the sizes
    bias = config.flag("multimodal_projector_bias", True)
    hidden = Dense(width=text.dim, activation=activation(config, "projector_hidden_act", "gelu"), bias=bias)
    return Vision(tower=tower(config), connector=(hidden, Dense(width=text.dim, bias=bias)), marker=marker(config))


def tower(config: Config) -> Tower:
    last, kind = config.integer("vision_feature_layer", -2), (config.part("vision_config") or Config({})).text("model_type", "")
    if last >= 0:
        raise ConfigError(f"{config.where}: vision_feature_layer = {last} is not supported: it must be counted from the end, as -2")
    if kind == "siglip_vision_model":
        config.only("vision_feature_select_strategy", "full")
        return siglip_tower(vision_part(config, siglip.IMAGE_DEFAULTS), last)
    config.only("vision_feature_select_strategy", "default")
    return clip_tower(vision_part(config, _VISION), last)


def marker(config: Config) -> int:
    """The token that stands for each of an image's rows; older files call it an index."""
    found = config.optional_integer("image_token_index")
    return config.integer("image_token_id", 32000) if found is None else found


VISION: Recipes = {**SIGLIP, **CLIP, **two_layers()}

TINY: dict[str, Any] = {
    "architectures": ["LlavaForConditionalGeneration"],
    "model_type": "llava",
    "image_token_id": 250,
    "text_config": {
        "model_type": "llama",
        "vocab_size": 256,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
    },
    "vision_config": {
        "model_type": "clip_vision_model",
        "hidden_size": 48,
        "intermediate_size": 56,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "image_size": 24,
        "patch_size": 4,
    },
}
