"""What vision-language models have in common: their text model by its kind, and towers that are CLIP's or SigLIP's."""

from collections.abc import Mapping
from typing import Any

from models.families.multimodal import inner
from models.families.vision import clip, siglip
from models.families.vision.common import layers, norm_of, patches
from models.hf import Config, ConfigError
from models.recipes import Copy, PatchMatrix, Recipes, both
from models.spec import Full, Tower

_TEXTS = {
    "gemma": "GemmaForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "smollm3": "SmolLM3ForCausalLM",
}
# what files leave out that say no more than how they differ from Llama 2 7B
_LLAMA: Mapping[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 2048,
}


def text(architecture: str, config: Config) -> tuple[str, Config]:
    """By `text_config`'s model_type."""
    part = inner(architecture, config)
    kind = part.text("model_type", "llama")
    if kind not in _TEXTS:
        raise ConfigError(f"{part.where}: model_type = {kind!r} is not supported beside images, only {', '.join(_TEXTS)}")
    if kind == "llama":
        part.assume(**_LLAMA)
    return _TEXTS[kind], part


def vision_part(config: Config, defaults: Mapping[str, Any]) -> Config:
    """`vision_config`."""
    part = config.part("vision_config")
    if part is None:
        raise ConfigError(f"{config.where}: vision_config is missing")
    part.assume(**defaults)
    part.ignore("projection_dim", "vocab_size", "initializer_factor", "vision_use_head", "model_type")
    return part


def clip_tower(config: Config, last: int) -> Tower:
    """`last`: the layer whose rows are read, counted from the end as -1, -2 ...; those behind it, and the norm, are not computed."""
    read, every = patches(config, class_token=True, bias=False), layers(config, Full())
    return Tower(
        dim=config.integer("hidden_size"),
        layers=every[: len(every) + last + 1],
        norm=None,
        input=read,
        embed_norm=norm_of(config),
        context=read.rows,
    )


def siglip_tower(config: Config, last: int | None = None) -> Tower:
    """`last`: as in `clip_tower`; None: all of it, and its norm."""
    read, every = patches(config, class_token=False), layers(config, Full())
    return Tower(
        dim=config.integer("hidden_size"),
        layers=every if last is None else every[: len(every) + last + 1],
        norm=norm_of(config) if last is None else None,
        input=read,
        context=read.rows,
    )


def tower_recipes(recipes: Recipes) -> Recipes:
    """Of an encoder alone, those of the same encoder before a decoder."""
    kept = {name: recipe for name, recipe in recipes.items() if not name.startswith("head.")}
    return {f"vision.tower.{name}": _under_vision(recipe) for name, recipe in kept.items()}


def _under_vision(recipe: Any) -> Any:
    match recipe:
        case Copy(source):
            return Copy("vision." + source.removeprefix("vision_model."))
        case PatchMatrix(part, channels):
            return PatchMatrix(_under_vision(part), channels)
        case other:
            return type(other)(tuple(map(_under_vision, other.parts)))


CLIP: Recipes = tower_recipes(clip.IMAGE)
SIGLIP: Recipes = tower_recipes(siglip.IMAGE)


def two_layers(first: str = "linear_1", second: str = "linear_2") -> Recipes:
    return {
        **both("vision.connector.steps.0.linear", f"projector.{first}"),
        **both("vision.connector.steps.1.linear", f"projector.{second}"),
    }
