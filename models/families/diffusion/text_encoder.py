"""What reads the prompts of text to image: CLIP's encoder of texts, also with the matrix behind its row of the whole text, and T5's."""

from collections.abc import Callable, Mapping
from typing import Any

from models.families.encoder_decoder import t5
from models.families.vision import clip
from models.families.vision.common import NOT_OURS
from models.hf import Config
from models.recipes import Recipes
from models.spec import Arch, Dense, Pooled
from models.spec.diffusion import TextEncoder

LEGACY_END = 2  # of files that were written before transformers read it there
Sheet = Callable[[Config], tuple[Arch, Recipes, int | None]]  # with the token that ends a text


def text_encoder_of(values: Mapping[str, Any], where: str, context: int | None = None, filled: bool = True) -> tuple[TextEncoder, Recipes]:
    """`context`: None: its own. Raises ConfigError for what is not supported, and for a key that nobody read."""
    config = Config(values, where)
    arch, recipes, end = _sheet(config)
    config.finish()
    return TextEncoder(arch=arch, end=end, context=context or arch.context, filled=filled), recipes


def _sheet(config: Config) -> tuple[Arch, Recipes, int | None]:
    config.only("architectures", *([name] for name in TEXT_ENCODERS))
    return TEXT_ENCODERS[config.first("architectures") or "CLIPTextModel"](config)


def _clip(config: Config) -> tuple[Arch, Recipes, int | None]:
    config.ignore("projection_dim")
    recipes = {ours: recipe for ours, recipe in clip.TEXT.items() if not ours.startswith("head.")}
    return _text_tower(config, Pooled(pooling=("last",))), recipes, _end(config)


def _projected(config: Config) -> tuple[Arch, Recipes, int | None]:
    output = Pooled(pooling=("last",), layers=(Dense(width=config.integer("projection_dim", 512), bias=False),))
    return _text_tower(config, output), clip.TEXT, _end(config)


def _text_tower(config: Config, output: Pooled) -> Arch:
    config.assume(**clip.TEXT_DEFAULTS)
    config.ignore(*NOT_OURS)
    return clip.text_tower(config, output)


def _end(config: Config) -> int | None:
    end = config.integer("eos_token_id", 49407)
    return None if end == LEGACY_END else end


def _t5(config: Config) -> tuple[Arch, Recipes, int | None]:
    return t5.encoder(config), t5.ENCODER, None


TEXT_ENCODERS: dict[str, Sheet] = {"CLIPTextModel": _clip, "CLIPTextModelWithProjection": _projected, "T5EncoderModel": _t5}

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
