"""Qwen2.5-VL (arXiv 2502.13923): Qwen2-VL, most of whose tower's layers look within squares of an image."""

from typing import Any

from models.families.vision_language import qwen2_vl
from models.families.vision_language.qwen2_vl import BLOCKS, CONTEXT, marker, merger, mixer, read, vision_part
from models.hf import Config, activation
from models.recipes import Copy, Recipes, both, cat
from models.spec import MLP, Arch, Full, GridWindow, Layer, Norm, Tower, Vision

_VISION: dict[str, Any] = {
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "hidden_act": "silu",
    "num_heads": 16,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "window_size": 112,
    "fullatt_block_indexes": [7, 15, 23, 31],
}


def text(config: Config) -> tuple[str, Config]:
    return "Qwen2ForCausalLM", qwen2_vl.text_part("Qwen2_5_VLForConditionalGeneration", config)


def vision(config: Config, text: Arch) -> Vision:
    part = vision_part(config)
    part.assume(**_VISION)
    dim, heads, count, norm = part.integer("hidden_size"), part.integer("num_heads"), part.integer("depth"), Norm(eps=1e-6)
    everywhere, side = part.integers("fullatt_block_indexes") or (), _window(part)
    ffn = MLP(hidden=part.integer("intermediate_size"), activation=activation(part, "hidden_act"), bias=True)
    masks = [Full() if i in everywhere else GridWindow(size=side) for i in range(count)]
    layers = tuple(Layer(mixer=mixer(dim, heads, mask), ffn=ffn, norm=norm) for mask in masks)
    tower = Tower(dim=dim, layers=layers, norm=None, input=read(part, bias=False), context=CONTEXT)
    return Vision(tower=tower, connector=(norm, *merger(part, dim, text)), marker=marker(config), any_size=True)


def _window(config: Config) -> int:
    """In patches, whole squares of those that become one row."""
    merge = config.integer("spatial_merge_size")
    return config.integer("window_size") // merge // config.integer("patch_size") * merge


_O, _T = "vision.tower.layers.{i}.", "vision.blocks.{i}."

VISION: Recipes = {
    **BLOCKS,
    f"{_O}ffn.up.weight": cat(f"{_T}mlp.gate_proj.weight", f"{_T}mlp.up_proj.weight"),
    f"{_O}ffn.up.bias": cat(f"{_T}mlp.gate_proj.bias", f"{_T}mlp.up_proj.bias"),
    **both(f"{_O}ffn.down", f"{_T}mlp.down_proj"),
    "vision.connector.steps.0.weight": Copy("vision.merger.ln_q.weight"),
    **both("vision.connector.steps.2.linear", "vision.merger.mlp.0"),
    **both("vision.connector.steps.3.linear", "vision.merger.mlp.2"),
}

_TOWER: dict[str, Any] = {
    "depth": 3,
    "hidden_size": 48,
    "out_hidden_size": 64,
    "intermediate_size": 56,
    "num_heads": 3,
    "patch_size": 4,
    "window_size": 16,
    "fullatt_block_indexes": [1],
}
TINY: dict[str, Any] = qwen2_vl.TINY | {
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "model_type": "qwen2_5_vl",
    "vision_config": _TOWER,
}
