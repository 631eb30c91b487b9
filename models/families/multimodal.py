"""Folders of models that also read images. config.json has the text model as `text_config`; where a vision-language family is known
(VISION_LANGUAGE) the whole is served, otherwise the text model alone, and the tensors of everything else are left out."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Protocol, TypeVar, cast

from models.hf import Config, ConfigError
from models.recipes import Recipes
from models.spec import Arch, CrossVision, Vision

T = TypeVar("T")


class VisionLanguageFamily(Protocol):
    """A data sheet of what stands before a text model. VISION: recipes for what begins with "vision.", whose sources begin with "vision."
    (the tower), "projector" or "newline", whatever a folder calls these."""

    VISION: Recipes
    TINY: Mapping[str, Any]

    def text(self, config: Config) -> tuple[str, Config]:
        """The text model's architecture, and what describes it."""
        ...

    def vision(self, config: Config, text: Arch) -> Vision | CrossVision: ...


VISION_LANGUAGE = {
    "Gemma3ForConditionalGeneration": "models.families.vision_language.gemma3",
    "Idefics3ForConditionalGeneration": "models.families.vision_language.idefics3",
    "InternVLForConditionalGeneration": "models.families.vision_language.internvl",
    "LlavaForConditionalGeneration": "models.families.vision_language.llava",
    "LlavaNextForConditionalGeneration": "models.families.vision_language.llava_next",
    "MllamaForConditionalGeneration": "models.families.vision_language.mllama",
    "PaliGemmaForConditionalGeneration": "models.families.vision_language.paligemma",
    "Qwen2VLForConditionalGeneration": "models.families.vision_language.qwen2_vl",
    "Qwen2_5_VLForConditionalGeneration": "models.families.vision_language.qwen2_5_vl",
    "Qwen3VLForConditionalGeneration": "models.families.vision_language.qwen3_vl",
    "SmolVLMForConditionalGeneration": "models.families.vision_language.smolvlm",
}


def vision_language_family(architecture: str) -> VisionLanguageFamily:
    return cast(VisionLanguageFamily, import_module(VISION_LANGUAGE[architecture]))


@dataclass(frozen=True)
class Wrapper:
    text: str  # architecture of the text part
    ignored: tuple[str, ...]  # keys of config.json that say something about the other parts only


_MARKS = ("vision_config", "boi_token_index", "eoi_token_index", "image_token_index", "boi_token_id", "eoi_token_id", "image_token_id")

_QWEN = ("vision_config", "image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")

WRAPPERS = {
    "Llama4ForConditionalGeneration": Wrapper("Llama4ForCausalLM", _MARKS),
    "Mistral3ForConditionalGeneration": Wrapper(
        "MistralForCausalLM", (*_MARKS, "multimodal_projector_bias", "projector_hidden_act", "spatial_merge_size", "vision_feature_layer")
    ),
    "Qwen3_5ForConditionalGeneration": Wrapper("Qwen3_5ForCausalLM", _QWEN),
    "Qwen3_5MoeForConditionalGeneration": Wrapper("Qwen3_5MoeForCausalLM", _QWEN),
}


def text_part(architecture: str, config: Config) -> tuple[str, Config]:
    """The architecture of the text model, and the part of config.json that describes it. Raises ConfigError where there is none."""
    if architecture in VISION_LANGUAGE:
        return vision_language_family(architecture).text(config)
    if architecture not in WRAPPERS:
        return architecture, config
    config.ignore(*WRAPPERS[architecture].ignored)
    return WRAPPERS[architecture].text, inner(architecture, config)


def inner(architecture: str, config: Config) -> Config:
    """`text_config`. Raises ConfigError where there is none."""
    text = config.part("text_config")
    if text is None:
        raise ConfigError(f"{config.where}: text_config is missing, which {architecture} must have")
    tied = config.anything("tie_word_embeddings")
    if tied is not None:  # said of the whole, it is meant
        text.values["tie_word_embeddings"] = tied
    return text


def with_vision(architecture: str, config: Config, text: Arch) -> Arch:
    """The text model, with what reads images beside it where that is known."""
    return replace(text, vision=vision_language_family(architecture).vision(config, text)) if architecture in VISION_LANGUAGE else text


def vision_recipes(architecture: str) -> Recipes:
    return vision_language_family(architecture).VISION if architecture in VISION_LANGUAGE else {}


def parts(config: Mapping[str, Any], tensors: Mapping[str, T]) -> Mapping[str, T]:
    """Of a folder of several parts, those tensors that are read, under the names of the recipes."""
    architecture = (config.get("architectures") or [""])[0]
    if architecture in VISION_LANGUAGE:
        return Parts(tensors, {_plain(name): name for name in tensors})
    if architecture in WRAPPERS:
        return Parts(tensors, {name: name for name in tensors if not _TOWERS.fullmatch(name)})
    return tensors


_TOWERS = re.compile(r"(model\.)?(vision_tower|vision_model|visual|multi_modal_projector)\..*")
_PARTS = (
    (re.compile(r"(model\.)?(vision_tower|vision_model|visual)\.(vision_model\.)?"), "vision."),
    (re.compile(r"(model\.)?(multi_modal_projector|connector)\."), "projector."),
    (re.compile(r"(model\.)?image_newline$"), "newline"),
)


def _plain(name: str) -> str:
    for pattern, ours in _PARTS:
        if match := pattern.match(name):
            return ours + name[match.end() :]
    return name


class Parts(Mapping[str, T]):
    """`stored`: the name in `tensors` of each name here."""

    def __init__(self, tensors: Mapping[str, T], stored: Mapping[str, str]) -> None:
        self._tensors, self._stored = tensors, stored

    def __getitem__(self, name: str) -> T:
        return self._tensors[self._stored[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)
