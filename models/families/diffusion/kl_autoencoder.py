"""The autoencoder of Stable Diffusion and of those after it, as diffusers publishes it (AutoencoderKL)."""

import re
from typing import Any

from models.hf import Config, ConfigError
from models.recipes import Cat, Copy, First, Recipe
from models.spec.diffusion import KlAutoencoder, Latents


def autoencoder(config: Config) -> KlAutoencoder:
    config.ignore("_class_name", "_diffusers_version", "force_upcast", "sample_size")  # sample_size: of training
    for key in ("latents_mean", "latents_std"):
        config.only(key, None)
    config.only("act_fn", "silu", "swish")
    channels, widths = config.integer("in_channels", 3), tuple(map(int, config.items("block_out_channels", float) or (64,)))
    config.only("out_channels", channels)
    groups = config.integer("norm_num_groups", 32)
    for key, kind in (("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")):
        if (config.items(key, str) or (kind,)) != (kind,) * len(widths):
            raise ConfigError(f"{config.where}: {key} must be {kind} for each of block_out_channels ({len(widths)})")
    if bad := [width for width in widths if width % groups]:
        raise ConfigError(f"{config.where}: block_out_channels: {bad[0]} is no multiple of norm_num_groups = {groups}")
    scale, shift = config.number("scaling_factor", 0.18215), config.number("shift_factor", 0.0)
    return KlAutoencoder(
        channels=channels,
        latents=Latents(channels=config.integer("latent_channels", 4), scale=scale, shift=shift),
        widths=widths,
        blocks=config.integer("layers_per_block", 1),
        groups=groups,
        attention=config.flag("mid_block_add_attention", True),
        mixes_out=config.flag("use_quant_conv", True),
        mixes_in=config.flag("use_post_quant_conv", True),
    )


def recipe(ours: str) -> Recipe:
    """Of one of our tensors. Attention has other names in older files."""
    name = re.sub(r"\.last\.", ".", ours)
    name = re.sub(r"(down|up)_blocks\.(\d+)\.resized\.", r"\1_blocks.\2.\1samplers.0.", name)
    if (match := re.fullmatch(r"(.*)\.attention\.(qkv|out)\.(weight|bias)", name)) is None:
        return Copy(name)
    root, part, field = match.groups()
    if part == "out":
        return First((Copy(f"{root}.to_out.0.{field}"), Copy(f"{root}.proj_attn.{field}")))
    return Cat(tuple(First((Copy(f"{root}.{new}.{field}"), Copy(f"{root}.{old}.{field}"))) for new, old in _QKV))


_QKV = (("to_q", "query"), ("to_k", "key"), ("to_v", "value"))

TINY: dict[str, Any] = {
    "_class_name": "AutoencoderKL",
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
    "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"],
    "block_out_channels": [12, 24, 36],
    "layers_per_block": 2,
    "latent_channels": 4,
    "norm_num_groups": 6,
    "scaling_factor": 0.7,
    "shift_factor": 0.2,
}
