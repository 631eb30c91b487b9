"""DiT, as diffusers publishes it (DiTTransformer2DModel)."""

from typing import Any

from models.hf import Config, ConfigError
from models.recipes import Copy, PatchMatrix, Recipes, both, cat
from models.spec import MLP, Attention, Full
from models.spec.diffusion import Dit, DitLayer
from models.spec.ffn import Named

ACTIVATIONS: dict[str, Named] = {"gelu-approximate": "gelu_tanh", "gelu": "gelu"}


def denoiser(config: Config) -> Dit:
    if config.text("_class_name") == "Transformer2DModel":
        _as_first_published(config)
    config.ignore("norm_num_groups", "dropout", "upcast_attention", "_class_name", "_diffusers_version")
    config.only("norm_type", "ada_norm_zero")
    config.only("norm_elementwise_affine", False)
    config.only("activation_fn", *ACTIVATIONS)
    heads, head_dim = config.integer("num_attention_heads", 16), config.integer("attention_head_dim", 72)
    bias, dim, channels = config.flag("attention_bias", True), heads * head_dim, config.integer("in_channels", 4)
    attention = Attention(heads=heads, kv_heads=heads, head_dim=head_dim, mask=Full(), bias=bias, out_bias=True)
    ffn = MLP(hidden=4 * dim, activation=ACTIVATIONS[config.text("activation_fn", "gelu-approximate")], gated=False, bias=True)
    layer = DitLayer(attention=attention, ffn=ffn, eps=(1e-6, config.number("norm_eps", 1e-5)))
    side, patch = config.integer("sample_size", 32), config.integer("patch_size", 2)
    if side % patch or dim % 4:
        raise ConfigError(f"{config.where}: sample_size = {side} must be a multiple of patch_size = {patch}, and the width {dim} of 4")
    return Dit(
        channels=channels,
        out_channels=config.optional_integer("out_channels") or channels,
        side=side,
        patch=patch,
        dim=dim,
        layers=(layer,) * config.integer("num_layers", 28),
        labels=config.integer("num_embeds_ada_norm", 1000),
    )


def _as_first_published(config: Config) -> None:
    """By a class of several models, of which DiT is one."""
    config.assume(attention_bias=False, norm_type="layer_norm", norm_elementwise_affine=True, activation_fn="geglu", attention_head_dim=88)
    for key in ("cross_attention_dim", "num_vector_embeds", "caption_channels", "interpolation_scale", "use_additional_conditions"):
        config.only(key, None)
    for key, value in (("only_cross_attention", False), ("double_self_attention", False), ("attention_type", "default")):
        config.only(key, value)
    config.ignore("use_linear_projection")  # of models that read pixels
    for key in ("sample_size", "patch_size", "num_embeds_ada_norm"):
        if config.optional_integer(key) is None:
            raise ConfigError(f"{config.where}: {key} is missing")


_B = "transformer_blocks.{i}."
_E = _B + "norm1.emb."

WEIGHTS: Recipes = {
    "patch.weight": PatchMatrix(Copy("pos_embed.proj.weight")),
    "patch.bias": Copy("pos_embed.proj.bias"),
    **both("layers.{i}.condition.time.into", _E + "timestep_embedder.linear_1"),
    **both("layers.{i}.condition.time.out", _E + "timestep_embedder.linear_2"),
    "layers.{i}.condition.labels.weight": Copy(_E + "class_embedder.embedding_table.weight"),
    **both("layers.{i}.modulation", _B + "norm1.linear"),
    "layers.{i}.mixer.qkv.weight": cat(*(_B + f"attn1.to_{p}.weight" for p in "qkv")),
    "layers.{i}.mixer.qkv.bias": cat(*(_B + f"attn1.to_{p}.bias" for p in "qkv")),
    **both("layers.{i}.mixer.out", _B + "attn1.to_out.0"),
    **both("layers.{i}.ffn.up", _B + "ff.net.0.proj"),
    **both("layers.{i}.ffn.down", _B + "ff.net.2"),
    **both("modulation", "proj_out_1"),
    **both("head", "proj_out_2"),
}

TINY: dict[str, Any] = {
    "_class_name": "DiTTransformer2DModel",
    "num_attention_heads": 3,
    "attention_head_dim": 12,
    "in_channels": 4,
    "out_channels": 8,
    "num_layers": 2,
    "sample_size": 8,
    "patch_size": 2,
    "attention_bias": True,
    "activation_fn": "gelu-approximate",
    "num_embeds_ada_norm": 7,
    "norm_type": "ada_norm_zero",
    "norm_elementwise_affine": False,
    "norm_eps": 1e-5,
}
