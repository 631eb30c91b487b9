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


def family_of(config: Mapping[str, Any]) -> Family:
    """By the first entry of config.json's `architectures`."""
    name = (config.get("architectures") or ["(no architectures)"])[0]
    if name not in FAMILIES:
        raise ConfigError(f"config.json: architecture {name} is not supported, only {', '.join(FAMILIES)}")
    return cast(Family, import_module(FAMILIES[name]))


def recipes_of(config: Mapping[str, Any], form: Literal["safetensors", "gguf"]) -> Recipes:
    """For the family of a config.json and the form of the checkpoint beside it."""
    family = family_of(config)
    return family.GGUF if form == "gguf" else family.WEIGHTS


def arch_of(config: Mapping[str, Any]) -> Arch:
    """The architecture that a config.json describes. Raises ConfigError when a key is missing, wrong or unread."""
    watched = Config(config)
    arch = family_of(config).arch(watched)
    watched.finish()
    return arch
