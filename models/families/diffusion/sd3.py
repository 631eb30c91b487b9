"""Stable Diffusion 3 and 3.5 (arXiv 2403.03206), as diffusers publishes them (SD3Transformer2DModel)."""

import re
from collections.abc import Callable
from typing import Any

from models.families.diffusion.mmdit import two_streams
from models.hf import Config, ConfigError
from models.recipes import Copy, PatchMatrix, Recipe, Recipes, both
from models.spec import Norm
from models.spec.diffusion import FixedGrid, Mmdit, TwoStreams


def denoiser(config: Config) -> Mmdit:
    config.ignore("_class_name", "_diffusers_version")
    heads, head_dim = config.integer("num_attention_heads", 18), config.integer("attention_head_dim", 64)
    dim, count = heads * head_dim, config.integer("num_layers", 18)
    if (width := config.integer("caption_projection_dim", 1152)) != dim:
        raise ConfigError(f"{config.where}: caption_projection_dim = {width} must be {dim}, as wide as the model")
    config.only("qk_norm", None, "rms_norm")
    norm, again = Norm(eps=1e-6) if config.anything("qk_norm") else None, config.integers("dual_attention_layers") or ()
    sizes: dict[str, Any] = {"heads": heads, "head_dim": head_dim, "hidden": 4 * dim, "qk_norm": norm}
    layers = (TwoStreams(**sizes, again=i in again, last=i == count - 1) for i in range(count))
    side, patch, channels = config.integer("sample_size", 128), config.integer("patch_size", 2), config.integer("in_channels", 16)
    return Mmdit(
        channels=channels,
        out_channels=config.optional_integer("out_channels") or channels,
        side=side,
        patch=patch,
        dim=dim,
        layers=tuple(layers),
        text=config.integer("joint_attention_dim", 4096),
        pooled=config.integer("pooled_projection_dim", 2048),
        position=FixedGrid(side=config.integer("pos_embed_max_size", 96), base=side // patch),
        order="channels_last",
    )


_T = "time_text_embed."
_WHOLE: Recipes = {
    "patch.weight": PatchMatrix(Copy("pos_embed.proj.weight")),
    "patch.bias": Copy("pos_embed.proj.bias"),
    **both("text", "context_embedder"),
    **both("time.into", _T + "timestep_embedder.linear_1"),
    **both("time.out", _T + "timestep_embedder.linear_2"),
    **both("pooled_into", _T + "text_embedder.linear_1"),
    **both("pooled_out", _T + "text_embedder.linear_2"),
    **both("modulation", "norm_out.linear"),
    **both("head", "proj_out"),
}


def rule(_: Mmdit) -> Callable[[str], Recipe]:
    return _recipe


def _recipe(name: str) -> Recipe:
    found = re.match(r"layers\.(\d+)\.", name)
    return _WHOLE[name] if found is None else two_streams(found[0], f"transformer_blocks.{found[1]}.")[name]


TINY: dict[str, Any] = {
    "_class_name": "SD3Transformer2DModel",
    "sample_size": 8,
    "patch_size": 2,
    "in_channels": 4,
    "out_channels": 4,
    "num_layers": 3,
    "attention_head_dim": 8,
    "num_attention_heads": 4,
    "joint_attention_dim": 20,
    "caption_projection_dim": 32,
    "pooled_projection_dim": 24,
    "pos_embed_max_size": 12,
    "dual_attention_layers": [0, 1],
    "qk_norm": "rms_norm",
}
