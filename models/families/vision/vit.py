"""ViT (arXiv 2010.11929): the class token's row says what is to be seen; DeiT without its second token is built alike."""

from typing import Any

from models.families.vision.common import layers, norm_of, patches
from models.hf import Config
from models.recipes import Bare, Copy, PatchMatrix, Recipes, both, cat
from models.spec import Arch, Classifier, Full, Output, Pooled, Pooling

PREFIX = "vit."
UNUSED = r"(pooler|classifier)\..*|embeddings\.mask_token"

_DEFAULTS: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "image_size": 224,
    "patch_size": 16,
}


def arch(config: Config) -> Arch:
    config.assume(**_DEFAULTS)
    config.ignore("encoder_stride", "pooler_act", "pooler_output_size")
    read = patches(config, class_token=True)
    return Arch(
        dim=config.integer("hidden_size"),
        vocab=0,
        layers=layers(config, Full(), qkv_bias=config.flag("qkv_bias", True)),
        norm=norm_of(config),
        patches=read,
        output=output(config, ("cls",)),
        context=read.rows,
    )


def output(config: Config, pooling: tuple[Pooling, ...]) -> Output:
    """What a classifier reads, where the architecture is called one; otherwise the class token's row."""
    if not config.first("architectures").endswith("ForImageClassification"):
        return Pooled(pooling=("cls",))
    return Classifier(labels=config.size("id2label", config.integer("num_labels", 2)), pooling=pooling)


_L, _A = "encoder.layer.{i}.", "encoder.layer.{i}.attention."

WEIGHTS: Recipes = {
    "embed.patches.weight": PatchMatrix(Copy("embeddings.patch_embeddings.projection.weight")),
    "embed.patches.bias": Copy("embeddings.patch_embeddings.projection.bias"),
    "embed.class_token": Bare(Copy("embeddings.cls_token")),
    "embed.positions": Bare(Copy("embeddings.position_embeddings")),
    **both("layers.{i}.norm1", _L + "layernorm_before"),
    "layers.{i}.mixer.qkv.weight": cat(*(_A + f"attention.{p}.weight" for p in ("query", "key", "value"))),
    "layers.{i}.mixer.qkv.bias": cat(*(_A + f"attention.{p}.bias" for p in ("query", "key", "value"))),
    **both("layers.{i}.mixer.out", _A + "output.dense"),
    **both("layers.{i}.norm2", _L + "layernorm_after"),
    **both("layers.{i}.ffn.up", _L + "intermediate.dense"),
    **both("layers.{i}.ffn.down", _L + "output.dense"),
    **both("norm", "layernorm"),
}

HEAD: Recipes = both("head.layers.0.linear", "classifier")

TINY: dict[str, Any] = {
    "architectures": ["ViTModel"],
    "model_type": "vit",
    "hidden_size": 40,
    "intermediate_size": 56,
    "num_hidden_layers": 3,
    "num_attention_heads": 5,
    "image_size": 24,
    "patch_size": 4,
}
