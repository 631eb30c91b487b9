"""Makes vLLM know our models: the entry point `stoa` in the group `vllm.general_plugins`, called in each of vLLM's processes.

vLLM's own classes stay what they are. Ours serve what vLLM has no class for, `model_type: "stoa"`, and any family under its name with
Stoa before it (`--hf-overrides '{"architectures": ["StoaLlamaForCausalLM"]}'`). STOA_VLLM_MODELS=all gives ours vLLM's names, too."""

import os
from importlib import import_module

from models.families import FAMILIES, arch_of


def register() -> None:
    """May be called again."""
    from vllm import ModelRegistry

    from engine.vllm.plugin.config import kind, register_configs

    register_configs()
    theirs = set() if os.environ.get("STOA_VLLM_MODELS") == "all" else set(ModelRegistry.get_supported_archs())
    for name, module in FAMILIES.items():
        which = kind(arch_of(import_module(module).TINY))
        for known in {name, f"Stoa{name.removeprefix('Stoa')}"} - theirs:
            _add(known, which)
    for which in ("", "Hybrid", "States"):
        _add(f"Stoa{which}ForCausalLM", which)


def _add(name: str, which: str) -> None:
    from vllm import ModelRegistry
    from vllm.model_executor.models.config import MODELS_CONFIG_MAP, MambaModelConfig

    ModelRegistry.register_model(name, f"engine.vllm.plugin.model:Stoa{which}ForCausalLM")
    if which == "States":  # vLLM sets up blocks of states by the architecture's name
        MODELS_CONFIG_MAP.setdefault(name, MambaModelConfig)
