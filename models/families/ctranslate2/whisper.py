"""Whisper as CTranslate2 has it. Keys have biases there, all zeros."""

import re
from collections.abc import Mapping

from models.families.ctranslate2.decoder import ACTIVATIONS, Shapes, affine, linear, matrix
from models.hf import Config, ConfigError
from models.recipes import Copy, Recipes, Taps
from models.spec import MLP, Arch, Attention, Causal, CrossAttention, Frames, Full, Layer, Learned, Mask, Norm, Tower

_E, _D = "encoder/", "decoder/"
_NORM = Norm(kind="layer", eps=1e-5)


def arch(settings: Mapping[str, float], shapes: Shapes, *, tied: bool) -> Arch:
    """`shapes`: of the tensors. Raises ConfigError for what is not supported."""
    model = Config(dict(settings), "model.bin")
    model.only("decoder/pre_norm", 1)
    for usual in ("alibi", "scale_embeddings", "start_from_zero_embedding"):
        model.only(f"decoder/{usual}", None, 0)
    model.ignore("decoder/alignment_layer", "decoder/alignment_heads", "decoder/activation", "encoder/activation")
    model.ignore("decoder/alibi_use_positive_positions", "decoder/scale_alibi", "encoder/pre_norm")
    act = ACTIVATIONS[int(settings.get("decoder/activation", 3))]
    vocab, dim = matrix(shapes, _D + "embeddings/weight")
    heads, rows, context = model.integer("decoder/num_heads"), _positions(shapes, _E), _positions(shapes, _D)

    def layers(stack: str, mask: Mask, cross: CrossAttention | None) -> tuple[Layer, ...]:
        own = model.integer(f"{stack}num_heads")
        hidden, _ = matrix(shapes, f"{stack}layer_0/ffn/linear_0/weight")
        mixer = Attention(heads=own, kv_heads=own, head_dim=dim // own, mask=mask, bias=True, out_bias=True)
        ffn = MLP(hidden=hidden, activation=act, gated=False, bias=True)
        return (Layer(mixer=mixer, ffn=ffn, norm=_NORM, cross=cross),) * _count(shapes, stack)

    cross = CrossAttention(heads=heads, kv_heads=heads, head_dim=dim // heads, bias=True, out_bias=True)
    frames, position = Frames(bins=_shape(shapes, _E + "conv1/weight")[1]), Learned(count=rows)
    encoder = Tower(dim=dim, layers=layers(_E, Full(), None), norm=_NORM, input=frames, position=position, context=rows)
    built = Arch(
        dim=dim,
        vocab=vocab,
        layers=layers(_D, Causal(), cross),
        norm=_NORM,
        tied=tied,
        position=Learned(count=context),
        encoder=encoder,
        context=context,
    )
    model.finish()
    return built


def _positions(shapes: Shapes, stack: str) -> int:
    return _shape(shapes, f"{stack}position_encodings/encodings")[0]


def _shape(shapes: Shapes, name: str) -> tuple[int, ...]:
    if name not in shapes:
        raise ConfigError(f"model.bin has no {name}")
    return shapes[name]


def _count(shapes: Shapes, stack: str) -> int:
    return 1 + max((int(found[1]) for name in shapes if (found := re.match(rf"{stack}layer_(\d+)/", name))), default=-1)


def _stack(ours: str, theirs: str) -> Recipes:
    """Of an encoder's layers, or of what a decoder's have in common with them."""
    return {
        **affine(f"{ours}norm1", f"{theirs}self_attention/layer_norm"),
        **linear(f"{ours}mixer.qkv", f"{theirs}self_attention/linear_0"),
        **linear(f"{ours}mixer.out", f"{theirs}self_attention/linear_1"),
        **affine(f"{ours}norm2", f"{theirs}ffn/layer_norm"),
        **linear(f"{ours}ffn.up", f"{theirs}ffn/linear_0"),
        **linear(f"{ours}ffn.down", f"{theirs}ffn/linear_1"),
    }


_C = _D + "layer_{i}/attention/"

RECIPES: Recipes = {
    "encoder.embed.near.weight": Taps(Copy(_E + "conv1/weight")),
    "encoder.embed.near.bias": Copy(_E + "conv1/bias"),
    "encoder.embed.halve.weight": Taps(Copy(_E + "conv2/weight")),
    "encoder.embed.halve.bias": Copy(_E + "conv2/bias"),
    "encoder.positions.weight": Copy(_E + "position_encodings/encodings"),
    **_stack("encoder.layers.{i}.", _E + "layer_{i}/"),
    **affine("encoder.norm", _E + "layer_norm"),
    "embed.weight": Copy(_D + "embeddings/weight"),
    "positions.weight": Copy(_D + "position_encodings/encodings"),
    **_stack("layers.{i}.", _D + "layer_{i}/"),
    **affine("layers.{i}.norm_cross", _C + "layer_norm"),
    **linear("layers.{i}.cross.q", _C + "linear_0"),
    **linear("layers.{i}.cross.kv", _C + "linear_1"),
    **linear("layers.{i}.cross.out", _C + "linear_2"),
    **affine("norm", _D + "layer_norm"),
    "head.weight": Copy(_D + "projection/weight"),
}
