"""A checkpoint's config.json: as our families read it, and as vLLM wants to find the sizes of a `model_type: "stoa"` in it."""

from importlib import import_module
from typing import Any

from transformers import AutoConfig, PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from vllm.config import ModelConfig
from vllm.transformers_utils.repo_utils import get_hf_file_to_dict

from models.families import FAMILIES, arch_of
from models.spec import Arch, Attention, LatentAttention, all_mixers, groups, slots


class OwnConfig(PretrainedConfig):
    """Of a `model_type` that transformers does not know: the keys as they are, and the numbers that vLLM asks for by name."""

    def __init__(self, **given: Any) -> None:
        if "architectures" in given:
            stored = {key: value for key, value in given.items() if key != "name_or_path"}  # which transformers adds
            arch = arch_of({"model_type": self.model_type} | stored)
            given |= sizes(arch)
            if self.model_type == "stoa":  # any mix: only the value says what it keeps
                given |= {"architectures": [f"Stoa{kind(arch)}ForCausalLM"]}
        super().__init__(**given)


def register_configs() -> None:
    """For vLLM, which asks transformers for every configuration."""
    tiny = [import_module(module).TINY["model_type"] for module in FAMILIES.values()]
    for name in sorted({name for name in tiny if name not in CONFIG_MAPPING}):
        own = {"model_type": name, "__init__": OwnConfig.__init__}  # transformers makes another for a class that has none itself
        AutoConfig.register(name, type("OwnConfig", (OwnConfig,), own))


def kind(arch: Arch) -> str:
    """Of the classes in engine/vllm/model.py: vLLM asks a class, not a model, whether it keeps pages, states or both."""
    return ("Hybrid" if groups(arch) else "States") if slots(arch) else ""


def sizes(arch: Arch) -> dict[str, Any]:
    attentions = [m for layer in arch.layers for m in all_mixers(layer) if isinstance(m, Attention | LatentAttention)]
    return {
        "vocab_size": arch.vocab,
        "hidden_size": arch.dim,
        "num_hidden_layers": len(arch.layers),
        "max_position_embeddings": arch.context,
        "tie_word_embeddings": arch.tied,
        **(of_attention(attentions[0]) if attentions else {"num_attention_heads": 1, "head_dim": arch.dim}),
    }


def of_attention(spec: Attention | LatentAttention) -> dict[str, int]:
    match spec:
        case Attention(heads=h, kv_heads=g, head_dim=k):
            return {"num_attention_heads": h, "num_key_value_heads": g, "head_dim": k}
        case LatentAttention(heads=h, nope_dim=n, rope_dim=p):
            return {"num_attention_heads": h, "num_key_value_heads": h, "head_dim": n + p}


def read(model: ModelConfig) -> dict[str, Any]:
    """config.json as it is stored, since transformers renames and drops keys. Raises ValueError for what --hf-overrides would change
    of it, but for the architectures' name."""
    overrides = model.hf_overrides if isinstance(model.hf_overrides, dict) else {}
    if further := sorted(set(overrides) - {"architectures"}):
        raise ValueError(f"--hf-overrides {further}: Stoa's models read config.json themselves; change it there")
    found = get_hf_file_to_dict("config.json", model.model, model.revision)
    if found is None:
        raise ValueError(f"{model.model} has no config.json")
    return found
