"""CLIP (arXiv 2103.00020): an encoder of images with a class token, and a causal one of texts, whose last token stands for all."""

from typing import Any

from models.families.vision.common import block, layers, norm_of, part_of, patches
from models.hf import Config
from models.recipes import Copy, PatchMatrix, Recipes, both
from models.spec import Arch, Causal, Dense, Full, Learned, Pair, Pooled

TEXT_DEFAULTS: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
_IMAGE: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}


def pair(config: Config) -> Pair:
    config.ignore("initializer_factor", "logit_scale_init_value")
    width = config.integer("projection_dim", 512)
    text, image = part_of(config, "text_config", TEXT_DEFAULTS), part_of(config, "vision_config", _IMAGE)
    text.ignore("projection_dim")
    image.ignore("projection_dim")
    return Pair(text=text_tower(text, _projected("last", width)), image=tower(image, _projected("cls", width)), judged="softmax")


def _projected(pooling: Any, width: int) -> Pooled:
    return Pooled(pooling=(pooling,), layers=(Dense(width=width, bias=False),), normalize=True)


def text_tower(config: Config, output: Pooled) -> Arch:
    """Texts end with the token whose row is taken, as the tokenizer has them."""
    context = config.integer("max_position_embeddings")
    return Arch(
        dim=config.integer("hidden_size"),
        vocab=config.integer("vocab_size"),
        layers=layers(config, Causal()),
        norm=norm_of(config),
        position=Learned(count=context),
        output=output,
        context=context,
    )


def tower(config: Config, output: Pooled) -> Arch:
    """Of images."""
    read = patches(config, class_token=True, bias=False)
    return Arch(
        dim=config.integer("hidden_size"),
        vocab=0,
        layers=layers(config, Full()),
        norm=norm_of(config),
        embed_norm=norm_of(config),
        patches=read,
        output=output,
        context=read.rows,
    )


_T, _V = "text_model.", "vision_model."

TEXT: Recipes = {
    "embed.weight": Copy(_T + "embeddings.token_embedding.weight"),
    "positions.weight": Copy(_T + "embeddings.position_embedding.weight"),
    **block("layers.{i}.", _T + "encoder.layers.{i}."),
    **both("norm", _T + "final_layer_norm"),
    "head.layers.0.linear.weight": Copy("text_projection.weight"),
}

IMAGE: Recipes = {
    "embed.patches.weight": PatchMatrix(Copy(_V + "embeddings.patch_embedding.weight")),
    "embed.class_token": Copy(_V + "embeddings.class_embedding"),
    "embed.positions": Copy(_V + "embeddings.position_embedding.weight"),
    **both("embed_norm", _V + "pre_layrnorm"),
    **block("layers.{i}.", _V + "encoder.layers.{i}."),
    **both("norm", _V + "post_layernorm"),
    "head.layers.0.linear.weight": Copy("visual_projection.weight"),
}

TINY: dict[str, Any] = {
    "architectures": ["CLIPModel"],
    "model_type": "clip",
    "projection_dim": 20,
    "text_config": {
        "vocab_size": 99,
        "hidden_size": 36,
        "intermediate_size": 52,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "max_position_embeddings": 24,
        "bos_token_id": 97,
        "eos_token_id": 98,
        "pad_token_id": 0,
    },
    "vision_config": {
        "hidden_size": 40,
        "intermediate_size": 56,
        "num_hidden_layers": 3,
        "num_attention_heads": 5,
        "image_size": 24,
        "patch_size": 4,
    },
}
