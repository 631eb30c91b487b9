"""What reads the prompts of text to image: CLIP's encoder of texts alone (CLIPTextModel). Its rows count, not what is pooled of them."""

from collections.abc import Mapping
from typing import Any

from models.families.vision import clip
from models.families.vision.common import NOT_OURS
from models.hf import Config
from models.recipes import Recipes
from models.spec import Arch, Pooled

TEXT_ENCODERS = ["CLIPTextModel"]


def text_encoder_of(values: Mapping[str, Any], where: str) -> tuple[Arch, Recipes]:
    """Raises ConfigError for what is not supported, and for a key that nobody read."""
    config = Config(values, where)
    config.only("architectures", TEXT_ENCODERS)
    config.assume(**clip.TEXT_DEFAULTS)
    config.ignore("projection_dim", *NOT_OURS)
    arch = clip.text_tower(config, Pooled(pooling=("last",)))
    config.finish()
    return arch, {ours: recipe for ours, recipe in clip.TEXT.items() if not ours.startswith("head.")}


TINY: dict[str, Any] = {
    "architectures": ["CLIPTextModel"],
    "model_type": "clip_text_model",
    "vocab_size": 99,
    "hidden_size": 20,
    "intermediate_size": 52,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 12,
    "hidden_act": "quick_gelu",
    "bos_token_id": 97,
    "eos_token_id": 98,
    "pad_token_id": 0,
}
