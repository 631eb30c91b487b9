"""SigLIP (arXiv 2303.15343): both encoders look in both directions; of an image's rows a probe makes one, of a text's the last is taken,
which is one of those that fill it up."""

from typing import Any

from models.families.vision.common import block, feed_forward, layers, norm_of, part_of, patches
from models.hf import Config
from models.recipes import Bare, Copy, PatchMatrix, Portion, Recipes, both
from models.spec import Arch, Dense, Full, Learned, Pair, Patches, Pooled, Probe

_BOTH: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}
_TEXT = _BOTH | {"vocab_size": 32000, "max_position_embeddings": 64}
IMAGE_DEFAULTS = _BOTH | {"num_channels": 3, "image_size": 224, "patch_size": 16}


def pair(config: Config) -> Pair:
    image = part_of(config, "vision_config", IMAGE_DEFAULTS)
    return paired(config, image, patches(image, class_token=False))


def paired(config: Config, image: Config, read: Patches) -> Pair:
    config.ignore("initializer_factor")
    text = part_of(config, "text_config", _TEXT)
    image.only("vision_use_head", True)
    probe = Probe(heads=image.integer("num_attention_heads"), ffn=feed_forward(image), norm=norm_of(image))
    return Pair(
        text=_text(text),
        image=tower(image, read, Pooled(pooling=probe, normalize=True)),
        judged="sigmoid",
        filler=text.integer("pad_token_id", 1),
    )


def _text(config: Config) -> Arch:
    dim, context = config.integer("hidden_size"), config.integer("max_position_embeddings")
    return Arch(
        dim=dim,
        vocab=config.integer("vocab_size"),
        layers=layers(config, Full()),
        norm=norm_of(config),
        position=Learned(count=context),
        output=Pooled(pooling=("last",), layers=(Dense(width=config.integer("projection_size", dim)),), normalize=True),
        context=context,
    )


def tower(config: Config, read: Patches, output: Pooled) -> Arch:
    """Of images."""
    return Arch(
        dim=config.integer("hidden_size"),
        vocab=0,
        layers=layers(config, Full()),
        norm=norm_of(config),
        patches=read,
        output=output,
        context=read.rows,
    )


_T, _V, _A = "text_model.", "vision_model.", "vision_model.head.attention."

TEXT: Recipes = {
    "embed.weight": Copy(_T + "embeddings.token_embedding.weight"),
    "positions.weight": Copy(_T + "embeddings.position_embedding.weight"),
    **block("layers.{i}.", _T + "encoder.layers.{i}."),
    **both("norm", _T + "final_layer_norm"),
    **both("head.layers.0.linear", _T + "head"),
}

IMAGE: Recipes = {
    "embed.patches.weight": PatchMatrix(Copy(_V + "embeddings.patch_embedding.weight")),
    "embed.patches.bias": Copy(_V + "embeddings.patch_embedding.bias"),
    "embed.positions": Copy(_V + "embeddings.position_embedding.weight"),
    **block("layers.{i}.", _V + "encoder.layers.{i}."),
    **both("norm", _V + "post_layernorm"),
    "head.probe.row": Bare(Copy(_V + "head.probe")),
    "head.probe.q.weight": Portion(Copy(_A + "in_proj_weight"), 0, 1, 3),
    "head.probe.q.bias": Portion(Copy(_A + "in_proj_bias"), 0, 1, 3),
    "head.probe.kv.weight": Portion(Copy(_A + "in_proj_weight"), 1, 3, 3),
    "head.probe.kv.bias": Portion(Copy(_A + "in_proj_bias"), 1, 3, 3),
    **both("head.probe.out", _A + "out_proj"),
    **both("head.probe.norm", _V + "head.layernorm"),
    **both("head.probe.ffn.up", _V + "head.mlp.fc1"),
    **both("head.probe.ffn.down", _V + "head.mlp.fc2"),
}

TINY: dict[str, Any] = {
    "architectures": ["SiglipModel"],
    "model_type": "siglip",
    "text_config": {
        "vocab_size": 99,
        "hidden_size": 36,
        "intermediate_size": 52,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "max_position_embeddings": 16,
        "projection_size": 40,
        "bos_token_id": 97,
        "eos_token_id": 98,
        "pad_token_id": 5,
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
