"""Folders of models that also read images, of which the text model is served: config.json has it as `text_config`, and the tensors
of everything else are left out. What is asked with an image is not for them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from models.hf import Config, ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Wrapper:
    text: str  # architecture of the text part
    ignored: tuple[str, ...]  # keys of config.json that say something about the other parts only


_TOWERS = re.compile(r"(model\.)?(vision_tower|vision_model|visual|multi_modal_projector)\..*")
_MARKS = ("vision_config", "boi_token_index", "eoi_token_index", "image_token_index", "boi_token_id", "eoi_token_id", "image_token_id")

_QWEN = ("vision_config", "image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")

WRAPPERS = {
    "Gemma3ForConditionalGeneration": Wrapper("Gemma3ForCausalLM", (*_MARKS, "mm_tokens_per_image")),
    "Llama4ForConditionalGeneration": Wrapper("Llama4ForCausalLM", _MARKS),
    "Mistral3ForConditionalGeneration": Wrapper(
        "MistralForCausalLM", (*_MARKS, "multimodal_projector_bias", "projector_hidden_act", "spatial_merge_size", "vision_feature_layer")
    ),
    "Qwen3_5ForConditionalGeneration": Wrapper("Qwen3_5ForCausalLM", _QWEN),
    "Qwen3_5MoeForConditionalGeneration": Wrapper("Qwen3_5MoeForCausalLM", _QWEN),
}


def text_name(architecture: str) -> str:
    """The architecture that is served of a folder's."""
    return WRAPPERS[architecture].text if architecture in WRAPPERS else architecture


def text_config(architecture: str, config: Config) -> Config:
    """The part of config.json that describes it. Raises ConfigError where there is none."""
    if architecture not in WRAPPERS:
        return config
    config.ignore(*WRAPPERS[architecture].ignored)
    text = config.part("text_config")
    if text is None:
        raise ConfigError(f"{config.where}: text_config is missing, which {architecture} must have")
    tied = config.anything("tie_word_embeddings")
    if tied is not None:  # said of the whole, it is meant
        text.values["tie_word_embeddings"] = tied
    return text


def text_tensors(config: Mapping[str, Any], tensors: Mapping[str, T]) -> Mapping[str, T]:
    """Those of the text part."""
    return Text(tensors) if any(name in WRAPPERS for name in config.get("architectures") or ()) else tensors


class Text(Mapping[str, T]):
    def __init__(self, tensors: Mapping[str, T]) -> None:
        self._tensors = tensors
        self._names = [name for name in tensors if not _TOWERS.fullmatch(name)]

    def __getitem__(self, name: str) -> T:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
