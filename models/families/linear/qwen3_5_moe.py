"""Qwen3.5 (Qwen 2026), the ones with experts, which are in all layers and renormalised."""

from dataclasses import replace
from typing import Any

from models.families.changes import each
from models.families.linear import qwen3_5, qwen3_next
from models.hf import Config
from models.recipes import Recipes
from models.spec import Arch, Softmax


def arch(config: Config) -> Arch:
    config.assume(moe_intermediate_size=512, intermediate_size=512)
    config.only("norm_topk_prob", True)
    base = qwen3_5.decoder(config, kv_heads=2)
    moe = replace(qwen3_next.moe(config, 256, 8), router=Softmax(renormalise=True))
    return each(base, lambda layer: replace(layer, ffn=moe))


WEIGHTS: Recipes = {**qwen3_next.WEIGHTS, **qwen3_5.INTO}

GGUF = qwen3_5.GGUF

TINY: dict[str, Any] = {
    **{key: value for key, value in qwen3_next.TINY.items() if key not in ("mlp_only_layers", "intermediate_size")},
    "architectures": ["Qwen3_5MoeForCausalLM"],
    "model_type": "qwen3_5_moe_text",
}
