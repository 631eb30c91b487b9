"""The UNet of Stable Diffusion 1, 2 and XL, as diffusers publishes it (UNet2DConditionModel)."""

import re
from itertools import pairwise
from typing import Any

from models.hf import Config, ConfigError
from models.recipes import Cat, Copy, PatchMatrix, Recipe, SwapHalves
from models.spec.diffusion import PixelTransformer, Sinusoids, Sized, UNet, UNetStage

# what other models of that class have beside, or otherwise
_ONLY: tuple[tuple[str, Any], ...] = (
    ("center_input_sample", False),
    ("flip_sin_to_cos", True),
    ("freq_shift", 0),
    ("mid_block_type", "UNetMidBlock2DCrossAttn"),
    ("only_cross_attention", False),
    ("downsample_padding", 1),
    ("mid_block_scale_factor", 1),
    ("dual_cross_attention", False),
    ("resnet_time_scale_shift", "default"),
    ("resnet_skip_time_act", False),
    ("resnet_out_scale_factor", 1.0),
    ("time_embedding_type", "positional"),
    ("conv_in_kernel", 3),
    ("conv_out_kernel", 3),
    ("attention_type", "default"),
    ("class_embeddings_concat", False),
    ("mid_block_only_cross_attention", None),
    *((key, None) for key in ("num_attention_heads", "encoder_hid_dim", "encoder_hid_dim_type", "class_embed_type", "num_class_embeds")),
    *((key, None) for key in ("time_embedding_dim", "time_embedding_act_fn", "timestep_post_act", "time_cond_proj_dim")),
    *((key, None) for key in ("cross_attention_norm", "reverse_transformer_layers_per_block")),
)
_STAGES = {"CrossAttnDownBlock2D": True, "DownBlock2D": False, "CrossAttnUpBlock2D": True, "UpBlock2D": False}
_DOWN = ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D")
_UP = ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D")


def denoiser(config: Config) -> UNet:
    config.ignore(
        "_class_name", "_diffusers_version", "dropout", "upcast_attention", "addition_embed_type_num_heads", "use_linear_projection"
    )
    for key, value in _ONLY:
        config.only(key, value)
    config.only("act_fn", "silu", "swish")
    widths = tuple(map(int, config.items("block_out_channels", float) or (320, 640, 1280, 1280)))
    heads, depths = _each(config, "attention_head_dim", 8, widths), _each(config, "transformer_layers_per_block", 1, widths)
    groups, blocks = config.integer("norm_num_groups", 32), _each(config, "layers_per_block", 2, widths)
    _expect_multiples(config, widths, groups, heads)
    transformers = [PixelTransformer(heads=h, depth=d) for h, d in zip(heads, depths, strict=True)]
    down, up = _kinds(config, "down_block_types", _DOWN, widths), _kinds(config, "up_block_types", _UP, widths)

    def stage(i: int, attends: bool) -> UNetStage:
        return UNetStage(width=widths[i], blocks=blocks[i], transformer=transformers[i] if attends else None)

    return UNet(
        channels=config.integer("in_channels", 4),
        out_channels=config.integer("out_channels", 4),
        side=config.integer("sample_size", 64),
        down=tuple(stage(i, attends) for i, attends in enumerate(down)),
        middle=transformers[-1],
        up=tuple(stage(len(widths) - 1 - i, attends) for i, attends in enumerate(up)),
        text=config.integer("cross_attention_dim", 1280),
        times=Sinusoids(columns=widths[0]),
        sized=_sized(config),
        groups=groups,
        eps=config.number("norm_eps", 1e-5),
    )


def _sized(config: Config) -> Sized | None:
    config.only("addition_embed_type", None, "text_time")
    if config.anything("addition_embed_type") is None:
        for key in ("addition_time_embed_dim", "projection_class_embeddings_input_dim"):
            config.only(key, None)
        return None
    columns, inputs = config.integer("addition_time_embed_dim"), config.integer("projection_class_embeddings_input_dim")
    if inputs <= 6 * columns:
        found = f"projection_class_embeddings_input_dim = {inputs}"
        raise ConfigError(f"{config.where}: {found} must be above {6 * columns}, which six numbers of {columns} columns are")
    return Sized(pooled=inputs - 6 * columns, numbers=Sinusoids(columns=columns))


def _each(config: Config, key: str, default: int, widths: tuple[int, ...]) -> tuple[int, ...]:
    """A number for each stage, or one for all. `attention_head_dim` is, whatever it is called, how many heads there are."""
    value = config.anything(key) or default
    values = (value,) * len(widths) if isinstance(value, int) else tuple(value)
    if len(values) != len(widths) or not all(isinstance(item, int) for item in values):
        raise ConfigError(f"{config.where}: {key} must be a whole number, or one for each of block_out_channels ({len(widths)})")
    return values


def _kinds(config: Config, key: str, default: tuple[str, ...], widths: tuple[int, ...]) -> list[bool]:
    """Whether each stage has transformers."""
    kinds = config.items(key, str) or default
    if len(kinds) != len(widths) or not set(kinds) <= set(default):
        raise ConfigError(
            f"{config.where}: {key} must be {' or '.join(sorted(set(default)))} for each of block_out_channels ({len(widths)})"
        )
    return [_STAGES[kind] for kind in kinds]


def _expect_multiples(config: Config, widths: tuple[int, ...], groups: int, heads: tuple[int, ...]) -> None:
    for width, count in zip(widths, heads, strict=True):
        if width % groups or width % count:
            found = f"norm_num_groups = {groups} and attention_head_dim = {count}"
            raise ConfigError(f"{config.where}: block_out_channels: {width} must be a multiple of {found}")
    if any(a > b for a, b in pairwise(widths)) or widths[0] % 2:
        raise ConfigError(f"{config.where}: block_out_channels must not fall, and the first must be even")


_NTH = {"into": 1, "out": 2}
_INNER = {"attn1.out": "attn1.to_out.0", "attn2.out": "attn2.to_out.0", "attn2.q": "attn2.to_q", "ff.down": "ff.net.2"}
_CATS = {"attn1.qkv": ("attn1.to_q", "attn1.to_k", "attn1.to_v"), "attn2.kv": ("attn2.to_k", "attn2.to_v")}


def recipe(ours: str) -> Recipe:
    """Of one of our tensors. Matrices before and behind transformers are convolutions in some files."""
    name = re.sub(r"(down|up)_blocks\.(\d+)\.resized\.", r"\1_blocks.\2.\1samplers.0.", ours)
    name = re.sub(r"^(time|add)_embedding\.(into|out)\.", lambda found: f"{found[1]}_embedding.linear_{_NTH[found[2]]}.", name)
    if re.search(r"\.proj_(in|out)\.weight$", name):
        return PatchMatrix(Copy(name))
    if (match := re.fullmatch(r"(.*transformer_blocks\.\d+\.)(\w+\.\w+)\.(weight|bias)", name)) is None:
        return Copy(name)
    root, part, field = match.groups()
    if part == "ff.up":  # values come first there, and then their gates
        return SwapHalves(Copy(f"{root}ff.net.0.proj.{field}"))
    if part in _CATS:
        return Cat(tuple(Copy(f"{root}{source}.{field}") for source in _CATS[part]))
    return Copy(f"{root}{_INNER.get(part, part)}.{field}")


TINY: dict[str, Any] = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 3,
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    "block_out_channels": [12, 24, 36],
    "layers_per_block": 2,
    "norm_num_groups": 6,
    "cross_attention_dim": 20,
    "attention_head_dim": 2,
}
