"""Which families there are. A family is a data sheet: `arch(config)`, WEIGHTS and GGUF (recipes), TINY (for tests)."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Literal, Protocol, cast

from models.hf import Config, ConfigError
from models.spec import Arch
from models.weights import Recipes


class Family(Protocol):
    WEIGHTS: Recipes  # from Hugging Face tensor names
    GGUF: Recipes  # from GGUF tensor names
    TINY: Mapping[str, Any]  # a config.json small enough for a test with random weights

    def arch(self, config: Config) -> Arch: ...


FAMILIES = {
    "LlamaForCausalLM": "models.families.llama",
    "MistralForCausalLM": "models.families.mistral",
    "Qwen2ForCausalLM": "models.families.qwen2",
    "Qwen3ForCausalLM": "models.families.qwen3",
    "Gemma3ForCausalLM": "models.families.gemma3",
}


class EncoderFamily(Protocol):
    """The same for encoders; models/encoders.py knows how a folder of theirs is read."""

    PREFIX: str  # before the names of the body's tensors where a head stands beside it; the recipes are without
    UNUSED: str  # pattern of tensors that only other heads need
    WEIGHTS: Recipes  # of the body
    HEAD: Recipes  # of the classifier
    TINY: Mapping[str, Any]

    def arch(self, config: Config) -> Arch: ...


ENCODERS = {
    **dict.fromkeys(("BertModel", "BertForMaskedLM", "BertForPreTraining", "BertForSequenceClassification"), "models.families.bert"),
    **dict.fromkeys(("RobertaModel", "RobertaForMaskedLM", "RobertaForSequenceClassification"), "models.families.roberta"),
    **dict.fromkeys(("XLMRobertaModel", "XLMRobertaForMaskedLM", "XLMRobertaForSequenceClassification"), "models.families.roberta"),
    **dict.fromkeys(("ModernBertModel", "ModernBertForMaskedLM", "ModernBertForSequenceClassification"), "models.families.modernbert"),
}


def family_of(config: Mapping[str, Any]) -> Family:
    """By the first entry of config.json's `architectures`."""
    name = _name(config)
    if name not in FAMILIES:
        raise ConfigError(f"config.json: architecture {name} is not supported, only {', '.join(FAMILIES)}")
    return cast(Family, import_module(FAMILIES[name]))


def recipes_of(config: Mapping[str, Any], form: Literal["safetensors", "gguf"]) -> Recipes:
    """For the family of a config.json and the form of the checkpoint beside it."""
    family = family_of(config)
    return family.GGUF if form == "gguf" else family.WEIGHTS


def encoder_family_of(config: Mapping[str, Any]) -> EncoderFamily:
    name = _name(config)
    if name not in ENCODERS:
        raise ConfigError(f"config.json: architecture {name} is not a supported encoder, only {', '.join(ENCODERS)}")
    return cast(EncoderFamily, import_module(ENCODERS[name]))


def arch_of(config: Mapping[str, Any]) -> Arch:
    """The architecture that a config.json describes, decoder or encoder. Raises ConfigError when a key is missing, wrong
    or unread."""
    watched = Config(config)
    family = encoder_family_of(config) if _name(config) in ENCODERS else family_of(config)
    arch = family.arch(watched)
    watched.finish()
    return arch


def _name(config: Mapping[str, Any]) -> str:
    return (config.get("architectures") or ["(no architectures)"])[0]
