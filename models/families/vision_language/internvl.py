"""InternVL 2 and 3 (arXiv 2404.16821, 2504.10479) as transformers has it: a ViT with LayerScale, squares of whose rows become one."""

from typing import Any

from models.families.vision.common import feed_forward, norm_of, patches
from models.families.vision_language import llava
from models.families.vision_language.common import text as text_of
from models.families.vision_language.common import vision_part
from models.hf import Config, ConfigError, activation
from models.recipes import Bare, Copy, PatchMatrix, Recipes, ScaleBy, both, cat
from models.spec import Arch, Attention, Dense, Full, Layer, Merge, Norm, Tower, Vision

_VISION: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "image_size": [448, 448],
    "patch_size": [14, 14],
    "num_channels": 3,
}


def text(config: Config) -> tuple[str, Config]:
    return text_of("InternVLForConditionalGeneration", config)


def vision(config: Config, text: Arch) -> Vision:
    config.ignore("image_seq_length")
    config.only("vision_feature_layer", -1)
    config.only("vision_feature_select_strategy", "default")
    side = round(1 / config.number("downsample_ratio", 0.5))
    hidden = Dense(width=text.dim, activation=activation(config, "projector_hidden_act", "gelu"))
    connector = (Merge(side=side), Norm(kind="layer", eps=1e-5), hidden, Dense(width=text.dim))
    return Vision(tower=_tower(vision_part(config, _VISION)), connector=connector, marker=config.integer("image_token_id", 151_667))


def _tower(config: Config) -> Tower:
    config.ignore("projection_dropout", "layer_scale_init_value", "use_mask_token")
    config.only("norm_type", "layer_norm")
    config.only("use_absolute_position_embeddings", True)
    config.only("use_mean_pooling", True)
    if config.flag("use_qk_norm", False):
        raise ConfigError(f"{config.where}: use_qk_norm = True is not supported")
    dim, heads, read = config.integer("hidden_size"), config.integer("num_attention_heads"), patches(config, class_token=True)
    bias = config.flag("attention_bias", False)
    mixer = Attention(heads=heads, kv_heads=heads, head_dim=dim // heads, mask=Full(), bias=bias, out_bias=True)
    layer = Layer(mixer=mixer, ffn=feed_forward(config), norm=norm_of(config))
    return Tower(dim=dim, layers=(layer,) * config.integer("num_hidden_layers"), norm=None, input=read, context=read.rows)


_O, _T = "vision.tower.layers.{i}.", "vision.encoder.layer.{i}."


def _scaled(ours: str, theirs: str, scale: str) -> Recipes:
    return both(f"{_O}{ours}", f"{_T}{theirs}", lambda recipe: ScaleBy(recipe, Copy(f"{_T}{scale}")))


VISION: Recipes = {
    **both("vision.tower.embed.patches", "vision.embeddings.patch_embeddings.projection"),
    "vision.tower.embed.patches.weight": PatchMatrix(Copy("vision.embeddings.patch_embeddings.projection.weight")),
    "vision.tower.embed.class_token": Bare(Copy("vision.embeddings.cls_token")),
    "vision.tower.embed.positions": Bare(Copy("vision.embeddings.position_embeddings")),
    **both(f"{_O}norm1", f"{_T}layernorm_before"),
    f"{_O}mixer.qkv.weight": cat(*(f"{_T}attention.{p}_proj.weight" for p in "qkv")),
    f"{_O}mixer.qkv.bias": cat(*(f"{_T}attention.{p}_proj.bias" for p in "qkv")),
    **_scaled("mixer.out", "attention.projection_layer", "lambda_1"),
    **both(f"{_O}norm2", f"{_T}layernorm_after"),
    **both(f"{_O}ffn.up", f"{_T}mlp.fc1"),
    **_scaled("ffn.down", "mlp.fc2", "lambda_2"),
    **both("vision.connector.steps.1", "projector.layer_norm"),
    **both("vision.connector.steps.2.linear", "projector.linear_1"),
    **both("vision.connector.steps.3.linear", "projector.linear_2"),
}

TINY: dict[str, Any] = {
    "architectures": ["InternVLForConditionalGeneration"],
    "model_type": "internvl",
    "image_token_id": 250,
    "text_config": llava.TINY["text_config"] | {"model_type": "qwen2"},
    "vision_config": {key: value for key, value in llava.TINY["vision_config"].items() if key != "model_type"}
    | {"image_size": [24, 24], "patch_size": [4, 4]},
}
