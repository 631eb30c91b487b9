"""What encoders of images have in common: pre-norm layers with biases, patches, and how both are read from config.json."""

from collections.abc import Mapping
from typing import Any

from models.hf import Config, ConfigError, activation
from models.recipes import Recipes, both, cat
from models.spec import MLP, Attention, Grid, Layer, Mask, Norm, Patches


def norm_of(config: Config) -> Norm:
    return Norm(kind="layer", eps=config.number("layer_norm_eps"))


def layers(config: Config, mask: Mask, *, qkv_bias: bool = True) -> tuple[Layer, ...]:
    """Of CLIP, and of all that are built like its towers."""
    dim, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    mixer = Attention(heads=heads, kv_heads=heads, head_dim=dim // heads, mask=mask, bias=qkv_bias, out_bias=True)
    return (Layer(mixer=mixer, ffn=feed_forward(config), norm=norm_of(config)),) * config.integer("num_hidden_layers")


def feed_forward(config: Config) -> MLP:
    return MLP(hidden=config.integer("intermediate_size"), activation=activation(config, "hidden_act"), gated=False, bias=True)


def patches(config: Config, *, class_token: bool, bias: bool = True) -> Patches:
    """Of images of `image_size`, which have a whole number of them. Raises ConfigError for patches that are no squares."""
    (height, width), size = _sides(config, "image_size"), _sides(config, "patch_size")
    if size[0] != size[1] or not size[0]:
        raise ConfigError(f"{config.where}: patch_size = {list(size)} is not supported: patches must be squares")
    grid = Grid(rows=height // size[0], columns=width // size[0])
    return Patches(size=size[0], grid=grid, channels=config.integer("num_channels", 3), bias=bias, class_token=class_token)


def _sides(config: Config, key: str) -> tuple[int, int]:
    """Height and width."""
    match config.anything(key):
        case int(side):
            return side, side
        case [int(height), int(width)]:
            return height, width
        case other:
            raise ConfigError(f"{config.where}: {key} = {other!r} must be a number of pixels, or height and width")


def part_of(config: Config, name: str, defaults: Mapping[str, Any]) -> Config:
    """`text_config` or `vision_config`. Older files say the same once more in `..._config_dict`, and mean that where both differ."""
    found, older = config.part(name), config.part(f"{name}_dict")
    part = found or Config({}, f"{config.where}: {name}")
    if older is not None:
        part.values |= {key: value for key, value in older.values.items() if key not in ("id2label", "label2id")}
        older.ignore(*older.values)
    part.assume(**defaults)
    part.ignore(*NOT_OURS)
    return part


# of training, or of what any configuration was once saved with
NOT_OURS = (
    *("add_cross_attention", "bad_words_ids", "chunk_size_feed_forward", "cross_attention_hidden_size", "decoder_start_token_id"),
    *("dropout", "encoder_no_repeat_ngram_size", "initializer_factor", "is_decoder", "is_encoder_decoder", "pruned_heads"),
    *("remove_invalid_values", "tie_encoder_decoder", "tie_word_embeddings"),
)


def block(ours: str, theirs: str) -> Recipes:
    """A layer of CLIP, SigLIP and SigLIP 2."""
    return {
        **both(f"{ours}norm1", f"{theirs}layer_norm1"),
        f"{ours}mixer.qkv.weight": cat(*(f"{theirs}self_attn.{p}_proj.weight" for p in "qkv")),
        f"{ours}mixer.qkv.bias": cat(*(f"{theirs}self_attn.{p}_proj.bias" for p in "qkv")),
        **both(f"{ours}mixer.out", f"{theirs}self_attn.out_proj"),
        **both(f"{ours}norm2", f"{theirs}layer_norm2"),
        **both(f"{ours}ffn.up", f"{theirs}mlp.fc1"),
        **both(f"{ours}ffn.down", f"{theirs}mlp.fc2"),
    }
