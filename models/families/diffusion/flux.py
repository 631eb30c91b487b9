"""Flux 1 (Black Forest Labs 2024), as diffusers publishes it (FluxTransformer2DModel). Its pictures come to it in squares of 2 by 2."""

import re
from collections.abc import Callable
from typing import Any

from models.families.diffusion.mmdit import one_stream, two_streams
from models.hf import Config, ConfigError
from models.recipes import Recipe, Recipes, both
from models.spec import Norm
from models.spec.diffusion import Mmdit, OneStream, RotaryGrid, TwoStreams

PATCH, SIDE = 2, 128  # config.json says nothing of sizes: pictures of 1024 pixels are 128 wide


def denoiser(config: Config) -> Mmdit:
    config.ignore("_class_name", "_diffusers_version")
    config.only("patch_size", 1)
    heads, head_dim, channels = config.integer("num_attention_heads", 24), config.integer("attention_head_dim", 128), _channels(config)
    sizes: dict[str, Any] = {"heads": heads, "head_dim": head_dim, "hidden": 4 * heads * head_dim, "qk_norm": Norm(eps=1e-6)}
    dims = config.integers("axes_dims_rope") or (16, 56, 56)
    if len(dims) != 3 or sum(dims) != head_dim:
        raise ConfigError(f"{config.where}: axes_dims_rope = {list(dims)} must be three numbers, {head_dim} together")
    double, single = config.integer("num_layers", 19), config.integer("num_single_layers", 38)
    return Mmdit(
        channels=channels,
        out_channels=(config.optional_integer("out_channels") or channels * PATCH**2) // PATCH**2,
        side=SIDE,
        patch=PATCH,
        dim=heads * head_dim,
        layers=(TwoStreams(**sizes),) * double + (OneStream(**sizes),) * single,
        text=config.integer("joint_attention_dim", 4096),
        pooled=config.integer("pooled_projection_dim", 768),
        position=RotaryGrid(dims=(dims[0], dims[1], dims[2])),
        order="channels_first",
        guidance=config.flag("guidance_embeds", False),
    )


def _channels(config: Config) -> int:
    packed = config.integer("in_channels", 64)
    if packed % PATCH**2:
        raise ConfigError(f"{config.where}: in_channels = {packed} must be a multiple of {PATCH**2}: a square of so many pixels")
    return packed // PATCH**2


_T = "time_text_embed."
_WHOLE: Recipes = {
    **both("patch", "x_embedder"),
    **both("text", "context_embedder"),
    **both("time.into", _T + "timestep_embedder.linear_1"),
    **both("time.out", _T + "timestep_embedder.linear_2"),
    **both("guidance.into", _T + "guidance_embedder.linear_1"),
    **both("guidance.out", _T + "guidance_embedder.linear_2"),
    **both("pooled_into", _T + "text_embedder.linear_1"),
    **both("pooled_out", _T + "text_embedder.linear_2"),
    **both("modulation", "norm_out.linear"),
    **both("head", "proj_out"),
}


def rule(spec: Mmdit) -> Callable[[str], Recipe]:
    double = sum(isinstance(layer, TwoStreams) for layer in spec.layers)

    def recipe(name: str) -> Recipe:
        found = re.match(r"layers\.(\d+)\.", name)
        if found is None:
            return _WHOLE[name]
        number = int(found[1])
        if number < double:
            return two_streams(found[0], f"transformer_blocks.{number}.")[name]
        return one_stream(found[0], f"single_transformer_blocks.{number - double}.")[name]

    return recipe


TINY: dict[str, Any] = {
    "_class_name": "FluxTransformer2DModel",
    "patch_size": 1,
    "in_channels": 16,
    "num_layers": 2,
    "num_single_layers": 2,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": 20,
    "pooled_projection_dim": 24,
    "guidance_embeds": True,
    "axes_dims_rope": [4, 6, 6],
}
