"""DINOv2 (arXiv 2304.07193): ViT whose parts are scaled by numbers of their own before they are added (LayerScale), and whose positions
are stretched to the image."""

from typing import Any

from models.families.vision import vit
from models.families.vision.common import norm_of, patches
from models.families.vision.vit import output
from models.hf import Config, activation
from models.recipes import Copy, First, Recipe, Recipes, ScaleBy, both
from models.spec import MLP, Arch, Attention, Full, Layer

PREFIX = "dinov2."
UNUSED = r"classifier\..*|embeddings\.mask_token"

_DEFAULTS: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "mlp_ratio": 4,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "image_size": 224,
    "patch_size": 14,
}
# of training, or of what a detector built on it takes
_NOT_OURS = (
    *("apply_layernorm", "drop_path_rate", "layerscale_value", "out_features", "out_indices", "reshape_hidden_states", "stage_names"),
    "use_mask_token",
)


def arch(config: Config) -> Arch:
    config.assume(**_DEFAULTS)
    config.ignore(*_NOT_OURS)
    read, dim, heads = patches(config, class_token=True), config.integer("hidden_size"), config.integer("num_attention_heads")
    bias = config.flag("qkv_bias", True)
    mixer = Attention(heads=heads, kv_heads=heads, head_dim=dim // heads, mask=Full(), bias=bias, out_bias=True)
    return Arch(
        dim=dim,
        vocab=0,
        layers=(Layer(mixer=mixer, ffn=_feed_forward(config), norm=norm_of(config)),) * config.integer("num_hidden_layers"),
        norm=norm_of(config),
        patches=read,
        output=output(config, ("cls", "mean_but_first")),
        context=read.rows,
    )


def _feed_forward(config: Config) -> MLP:
    """With a gate it has two thirds of the width, up to the next multiple of 8."""
    hidden, act = int(config.integer("hidden_size") * config.number("mlp_ratio")), activation(config, "hidden_act")
    if not config.flag("use_swiglu_ffn", False):
        return MLP(hidden=hidden, activation=act, gated=False, bias=True)
    return MLP(hidden=(int(hidden * 2 / 3) + 7) // 8 * 8, activation="silu", gated=True, bias=True)


_L = "encoder.layer.{i}."


def _scaled(ours: str, scale: str, *theirs: str) -> Recipes:
    """`theirs`: its names, with a gate and without."""

    def recipe(field: str) -> Recipe:
        return ScaleBy(First(tuple(Copy(f"{_L}{name}.{field}") for name in theirs)), Copy(f"{_L}{scale}.lambda1"))

    return {f"{ours}.{field}": recipe(field) for field in ("weight", "bias")}


WEIGHTS: Recipes = {
    **vit.WEIGHTS,
    **both("layers.{i}.norm1", _L + "norm1"),
    **_scaled("layers.{i}.mixer.out", "layer_scale1", "attention.output.dense"),
    **both("layers.{i}.norm2", _L + "norm2"),
    **{f"layers.{{i}}.ffn.up.{f}": First((Copy(_L + f"mlp.fc1.{f}"), Copy(_L + f"mlp.weights_in.{f}"))) for f in ("weight", "bias")},
    **_scaled("layers.{i}.ffn.down", "layer_scale2", "mlp.fc2", "mlp.weights_out"),
}

HEAD: Recipes = vit.HEAD

TINY: dict[str, Any] = {
    "architectures": ["Dinov2Model"],
    "model_type": "dinov2",
    "hidden_size": 40,
    "mlp_ratio": 2,
    "num_hidden_layers": 3,
    "num_attention_heads": 5,
    "image_size": 24,
    "patch_size": 4,
}
