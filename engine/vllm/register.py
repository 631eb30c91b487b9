"""Makes vLLM know our models: the entry point `stoa` in the group `vllm.general_plugins`, called in each of vLLM's processes.

vLLM's own classes stay what they are. Ours serve what vLLM has no class for, `model_type: "stoa"`, and any family under its name with
Stoa before it (`--hf-overrides '{"architectures": ["StoaLlamaForCausalLM"]}'`). STOA_VLLM_MODELS=all gives ours vLLM's names, too."""

import os
from importlib import import_module

from models.families import FAMILIES


def register() -> None:
    """May be called again."""
    from transformers import AutoConfig
    from vllm import ModelRegistry

    from engine.vllm.config import StoaConfig

    AutoConfig.register("stoa", StoaConfig, exist_ok=True)
    theirs = set() if os.environ.get("STOA_VLLM_MODELS") == "all" else set(ModelRegistry.get_supported_archs())
    for name in FAMILIES:
        for known in {name, f"Stoa{name.removeprefix('Stoa')}"} - theirs:
            ModelRegistry.register_model(known, "engine.vllm.model:StoaForCausalLM")
