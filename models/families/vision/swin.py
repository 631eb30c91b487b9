"""Swin (arXiv 2103.14030): four stages, each with a quarter of the rows of the one before, twice as wide; patches see those of squares that
are shifted at every second layer."""

from typing import Any

from models.families.vision.common import patches
from models.families.vision.vit import output
from models.hf import Config, ConfigError, activation
from models.recipes import Copy, PatchMatrix, Recipes, both, cat
from models.spec import MLP, Arch, Classifier, Layer, Norm, Pooled, ShiftedWindowAttention, Stage

PREFIX = "swin."
UNUSED = r"classifier\..*|embeddings\.mask_token|.*\.relative_position_index"

STAGES = 4
_DEFAULTS: dict[str, Any] = {
    "image_size": 224,
    "patch_size": 4,
    "embed_dim": 96,
    "depths": [2, 2, 6, 2],
    "num_heads": [3, 6, 12, 24],
    "window_size": 7,
    "mlp_ratio": 4.0,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
}
# of training, what follows from the rest, or what a detector built on it takes
_NOT_OURS = ("drop_path_rate", "encoder_stride", "hidden_size", "num_layers", "out_features", "out_indices", "path_norm", "stage_names")


def arch(config: Config) -> Arch:
    config.assume(**_DEFAULTS)
    config.ignore(*_NOT_OURS)
    config.only("use_absolute_embeddings", False)
    read, depths, heads = patches(config, class_token=False), config.integers("depths") or (), config.integers("num_heads") or ()
    if len(depths) != STAGES or len(heads) != STAGES:
        raise ConfigError(f"{config.where}: depths = {list(depths)} and num_heads = {list(heads)} must have {STAGES} numbers each")
    assert read.grid is not None
    _expect_squares(config, read.grid.rows, read.grid.columns)
    widths = [config.integer("embed_dim") * 2**stage for stage in range(STAGES)]
    stages = [_layers(config, *sizes) for sizes in zip(widths, depths, heads, strict=True)]
    *before, last = (Stage(dim=dim, layers=layers, norm=_AROUND) for dim, layers in zip(widths, stages, strict=True))
    found = output(config, ("mean",))
    return Arch(
        dim=last.dim,
        vocab=0,
        layers=last.layers,
        norm=Norm(kind="layer", eps=config.number("layer_norm_eps")),
        embed_norm=_AROUND,
        patches=type(read)(**{**vars(read), "grid": None}),
        before=tuple(before),
        output=found if isinstance(found, Classifier) else Pooled(pooling=("mean",)),
        context=read.rows,
    )


_AROUND = Norm(kind="layer", eps=1e-5)


def _layers(config: Config, dim: int, depth: int, heads: int) -> tuple[Layer, ...]:
    size, bias = config.integer("window_size"), config.flag("qkv_bias", True)
    hidden = int(config.number("mlp_ratio") * dim)
    ffn = MLP(hidden=hidden, activation=activation(config, "hidden_act"), gated=False, bias=True)
    norm = Norm(kind="layer", eps=config.number("layer_norm_eps"))
    shifts = (size // 2 * (i % 2) for i in range(depth))
    mixers = (ShiftedWindowAttention(heads=heads, head_dim=dim // heads, window=size, shift=shift, bias=bias) for shift in shifts)
    return tuple(Layer(mixer=mixer, ffn=ffn, norm=norm) for mixer in mixers)


def _expect_squares(config: Config, rows: int, columns: int) -> None:
    """The last stage's image holds a square, as its makers' does, too."""
    size, least = config.integer("window_size"), min(rows, columns)
    for _ in range(STAGES - 1):
        least = (least + 1) // 2
    if least < size:
        raise ConfigError(f"{config.where}: window_size = {size} is more than the {least} lines or columns of the last stage")


def _block(ours: str, theirs: str) -> Recipes:
    attention = f"{theirs}attention."
    return {
        **both(f"{ours}norm1", f"{theirs}layernorm_before"),
        **{
            f"{ours}mixer.qkv.{field}": cat(*(f"{attention}self.{p}.{field}" for p in ("query", "key", "value")))
            for field in ("weight", "bias")
        },
        f"{ours}mixer.distances": Copy(f"{attention}self.relative_position_bias_table"),
        **both(f"{ours}mixer.out", f"{attention}output.dense"),
        **both(f"{ours}norm2", f"{theirs}layernorm_after"),
        **both(f"{ours}ffn.up", f"{theirs}intermediate.dense"),
        **both(f"{ours}ffn.down", f"{theirs}output.dense"),
    }


def _stage(number: int) -> Recipes:
    ours, theirs = f"before.{number}.", f"encoder.layers.{number}."
    return {
        **_block(f"{ours}layers.{{i}}.", f"{theirs}blocks.{{i}}."),
        **both(f"{ours}norm", f"{theirs}downsample.norm"),
        f"{ours}merge.weight": Copy(f"{theirs}downsample.reduction.weight"),
    }


WEIGHTS: Recipes = {
    "embed.patches.weight": PatchMatrix(Copy("embeddings.patch_embeddings.projection.weight")),
    "embed.patches.bias": Copy("embeddings.patch_embeddings.projection.bias"),
    **both("embed_norm", "embeddings.norm"),
    **{name: recipe for number in range(STAGES - 1) for name, recipe in _stage(number).items()},
    **_block("layers.{i}.", f"encoder.layers.{STAGES - 1}.blocks.{{i}}."),
    **both("norm", "layernorm"),
}

HEAD: Recipes = both("head.layers.0.linear", "classifier")

TINY: dict[str, Any] = {
    "architectures": ["SwinModel"],
    "model_type": "swin",
    "image_size": 48,
    "patch_size": 2,
    "embed_dim": 12,
    "depths": [2, 1, 3, 2],
    "num_heads": [1, 2, 3, 4],
    "window_size": 3,
    "mlp_ratio": 2.0,
}
