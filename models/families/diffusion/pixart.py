"""PixArt-alpha and -sigma (arXiv 2310.00426, 2403.04692), as diffusers publishes them (PixArtTransformer2DModel)."""

import re
from collections.abc import Callable
from typing import Any

from models.families.diffusion.dit import ACTIVATIONS
from models.hf import Config, ConfigError
from models.recipes import Bare, Copy, PatchMatrix, Recipe, Recipes, both, cat
from models.spec import MLP, Attention, Full
from models.spec.diffusion import PixArt


def denoiser(config: Config) -> PixArt:
    if config.text("_class_name") == "Transformer2DModel":
        _as_first_published(config)
    config.ignore("norm_num_groups", "dropout", "upcast_attention", "_class_name", "_diffusers_version", "num_embeds_ada_norm")
    config.only("norm_type", "ada_norm_single")
    config.only("norm_elementwise_affine", False)
    config.only("attention_type", "default")
    config.only("activation_fn", *ACTIVATIONS)
    heads, head_dim = config.integer("num_attention_heads", 16), config.integer("attention_head_dim", 72)
    dim, side, bias = heads * head_dim, config.integer("sample_size", 128), config.flag("attention_bias", True)
    if (crossed := config.integer("cross_attention_dim", 1152)) != dim:
        raise ConfigError(f"{config.where}: cross_attention_dim = {crossed} must be {dim}, as wide as the model")
    channels, sized = config.integer("in_channels", 4), config.anything("use_additional_conditions")
    return PixArt(
        channels=channels,
        out_channels=config.optional_integer("out_channels") or channels,
        side=side,
        patch=config.integer("patch_size", 2),
        dim=dim,
        layers=config.integer("num_layers", 28),
        attention=Attention(heads=heads, kv_heads=heads, head_dim=head_dim, mask=Full(), bias=bias, out_bias=True),
        ffn=MLP(hidden=4 * dim, activation=ACTIVATIONS[config.text("activation_fn", "gelu-approximate")], gated=False, bias=True),
        text=config.integer("caption_channels"),
        spread=config.optional_number("interpolation_scale") or max(side // 64, 1),
        sized=side == 128 if sized is None else bool(sized),
        eps=config.number("norm_eps", 1e-6),
    )


def _as_first_published(config: Config) -> None:
    """By a class of several models, of which PixArt is one."""
    for key, value in (("only_cross_attention", False), ("double_self_attention", False), ("num_vector_embeds", None)):
        config.only(key, value)
    config.ignore("use_linear_projection")  # of models that read pixels
    config.assume(norm_type="layer_norm", norm_elementwise_affine=True, activation_fn="geglu", attention_head_dim=88)
    config.assume(attention_bias=False, norm_eps=1e-5)
    for key in ("sample_size", "patch_size", "cross_attention_dim"):
        if config.optional_integer(key) is None:
            raise ConfigError(f"{config.where}: {key} is missing")


_E = "adaln_single.emb."
_WHOLE: Recipes = {
    "patch.weight": PatchMatrix(Copy("pos_embed.proj.weight")),
    "patch.bias": Copy("pos_embed.proj.bias"),
    **both("time.into", _E + "timestep_embedder.linear_1"),
    **both("time.out", _E + "timestep_embedder.linear_2"),
    **both("size.into", _E + "resolution_embedder.linear_1"),
    **both("size.out", _E + "resolution_embedder.linear_2"),
    **both("ratio.into", _E + "aspect_ratio_embedder.linear_1"),
    **both("ratio.out", _E + "aspect_ratio_embedder.linear_2"),
    **both("modulation", "adaln_single.linear"),
    **both("text_into", "caption_projection.linear_1"),
    **both("text_out", "caption_projection.linear_2"),
    ".ends": Copy("scale_shift_table"),
    **both("head", "proj_out"),
}


def rule(_: PixArt) -> Callable[[str], Recipe]:
    return _recipe


def _recipe(name: str) -> Recipe:
    found = re.match(r"layers\.(\d+)\.", name)
    return _WHOLE[name] if found is None else _layer(found[0], f"transformer_blocks.{found[1]}.")[name]


def _layer(ours: str, theirs: str) -> Recipes:
    joined = {"mixer.qkv": [f"attn1.to_{p}" for p in "qkv"], "text.kv": [f"attn2.to_{p}" for p in "kv"]}
    return {
        f"{ours}own": Bare(Copy(f"{theirs}scale_shift_table")),
        **{
            f"{ours}{mine}.{f}": cat(*(f"{theirs}{other}.{f}" for other in others))
            for mine, others in joined.items()
            for f in ("weight", "bias")
        },
        **both(f"{ours}mixer.out", f"{theirs}attn1.to_out.0"),
        **both(f"{ours}text.q", f"{theirs}attn2.to_q"),
        **both(f"{ours}text.out", f"{theirs}attn2.to_out.0"),
        **both(f"{ours}ffn.up", f"{theirs}ff.net.0.proj"),
        **both(f"{ours}ffn.down", f"{theirs}ff.net.2"),
    }


TINY: dict[str, Any] = {
    "_class_name": "PixArtTransformer2DModel",
    "num_attention_heads": 3,
    "attention_head_dim": 12,
    "in_channels": 4,
    "out_channels": 8,
    "num_layers": 2,
    "cross_attention_dim": 36,
    "sample_size": 8,
    "patch_size": 2,
    "caption_channels": 20,
    "interpolation_scale": 2,
    "use_additional_conditions": True,
}
