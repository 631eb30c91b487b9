"""Qwen3-VL (arXiv 2511.21631): a table of positions stretched over the image beside the rotary ones, whose coordinates take turns in
the text model; and rows from within the tower for the text model's first layers (DeepStack, arXiv 2406.04334)."""

from math import isqrt
from typing import Any

from models.families.vision_language import qwen2_vl
from models.families.vision_language.qwen2_vl import BLOCKS, CONTEXT, marker, merger, mixer, read, vision_part
from models.hf import Config, ConfigError, activation
from models.recipes import Copy, Recipe, Recipes, both
from models.spec import MLP, Arch, Deep, Grid, Layer, Norm, Patches, Tower, Vision

_VISION: dict[str, Any] = {
    "depth": 27,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "hidden_act": "gelu_pytorch_tanh",
    "num_heads": 16,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "num_position_embeddings": 2304,
    "deepstack_visual_indexes": [8, 16, 24],
}


def text(config: Config) -> tuple[str, Config]:
    return "Qwen3ForCausalLM", qwen2_vl.text_part("Qwen3VLForConditionalGeneration", config)


def vision(config: Config, text: Arch) -> Vision:
    part = vision_part(config)
    part.assume(**_VISION)
    dim, norm = part.integer("hidden_size"), Norm(kind="layer", eps=1e-6)
    ffn = MLP(hidden=part.integer("intermediate_size"), activation=activation(part, "hidden_act"), gated=False, bias=True)
    layer = Layer(mixer=mixer(dim, part.integer("num_heads")), ffn=ffn, norm=norm)
    tower = Tower(dim=dim, layers=(layer,) * part.integer("depth"), norm=None, input=_read(part), context=CONTEXT)
    merge, *dense = merger(part, dim, text)
    deep = (Deep(layer=i, connector=(merge, norm, *dense)) for i in part.integers("deepstack_visual_indexes") or ())
    return Vision(tower=tower, connector=(norm, merge, *dense), marker=marker(config), any_size=True, deep=tuple(deep))


def _read(config: Config) -> Patches:
    count = config.integer("num_position_embeddings")
    side = isqrt(count)
    if side * side != count:
        raise ConfigError(f"{config.where}: num_position_embeddings = {count} must be a square")
    plain = read(config, bias=True)
    return Patches(size=plain.size, channels=plain.channels, grid=Grid(rows=side, columns=side, stretch="corners"))


_O, _T, _D = "vision.tower.layers.{i}.", "vision.blocks.{i}.", "vision.deepstack_merger_list."
MOST_DEEP = 8  # of the tower's layers that give rows; published models have three


def _deep(number: int) -> dict[str, Recipe]:
    ours, theirs = f"vision.deep.{number}.steps.", f"{_D}{number}."
    return {
        **both(f"{ours}1", f"{theirs}norm"),
        **both(f"{ours}2.linear", f"{theirs}linear_fc1"),
        **both(f"{ours}3.linear", f"{theirs}linear_fc2"),
    }


VISION: Recipes = {
    **BLOCKS,
    "vision.tower.embed.patches.bias": Copy("vision.patch_embed.proj.bias"),
    "vision.tower.embed.positions": Copy("vision.pos_embed.weight"),
    **both(f"{_O}ffn.up", f"{_T}mlp.linear_fc1"),
    **both(f"{_O}ffn.down", f"{_T}mlp.linear_fc2"),
    **both("vision.connector.steps.0", "vision.merger.norm"),
    **both("vision.connector.steps.2.linear", "vision.merger.linear_fc1"),
    **both("vision.connector.steps.3.linear", "vision.merger.linear_fc2"),
    **{name: recipe for number in range(MOST_DEEP) for name, recipe in _deep(number).items()},
}

_ROPE: dict[str, Any] = {"rope_type": "default", "rope_theta": 1000.0, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
_TOWER: dict[str, Any] = {
    "depth": 3,
    "hidden_size": 48,
    "out_hidden_size": 64,
    "intermediate_size": 56,
    "num_heads": 3,
    "patch_size": 4,
    "num_position_embeddings": 25,
    "deepstack_visual_indexes": [0, 2],
}
TINY: dict[str, Any] = qwen2_vl.TINY | {
    "architectures": ["Qwen3VLForConditionalGeneration"],
    "model_type": "qwen3_vl",
    "text_config": qwen2_vl.TINY["text_config"] | {"head_dim": 16, "rope_parameters": _ROPE},
    "vision_config": _TOWER,
}
