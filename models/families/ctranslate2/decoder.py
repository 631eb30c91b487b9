"""Decoders as CTranslate2 has them: one layout for every family that it converts, described by settings beside the tensors.
Its files leave out what some families need (the caps on Gemma 2's scores, how Gemma 3 and Llama 3 stretch their positions): these are
refused. How many tokens a model was made for is asked for."""

import re
from collections.abc import Mapping

from models.hf import Config, ConfigError
from models.recipes import Copy, Recipe, Recipes, cat
from models.spec import MLP, Activation, Alibi, Arch, Attention, Causal, Layer, Learned, Linear, Next, Norm, QKNorm, Rope, Window

ACTIVATIONS: tuple[Activation, ...] = ("relu", "gelu_tanh", "silu", "gelu", "quick_gelu", "tanh")
_D = "decoder/"
_L = _D + "layer_{i}/"

Shapes = Mapping[str, tuple[int, ...]]


def arch(settings: Mapping[str, float], shapes: Shapes, config: Config, *, tied: bool, context: int | None) -> Arch:
    """`shapes`: of the tensors. `config`: CTranslate2's config.json. `context`: tokens, where there is no table of positions.
    Raises ConfigError for what is not supported."""
    model = Config({name.removeprefix(_D): value for name, value in settings.items() if "/layer_" not in name}, "model.bin: decoder")
    model.only("pre_norm", 1)
    model.only("start_from_zero_embedding", 0)
    model.ignore("alignment_layer", "alignment_heads", "layer_norm/layer_norm_use_residual")
    model.ignore("sliding_window")  # each layer says it
    config.only("quantization_type", None, 0)
    config.ignore("bos_token", "eos_token", "unk_token", "multi_query_attention", "quantization_bits", "quantization_group_size")
    eps = config.optional_number("layer_norm_epsilon")
    count = 1 + max((int(m[1]) for name in shapes if (m := re.match(r"decoder/layer_(\d+)/", name))), default=-1)
    if not count:
        raise ConfigError("model.bin has no decoder/layer_0")
    vocab, dim = matrix(shapes, _D + "embeddings/weight")
    positions = shapes.get(_D + "position_encodings/encodings")
    built = Arch(
        dim=dim,
        vocab=vocab,
        layers=tuple(_layer(model, settings, shapes, f"{_D}layer_{i}/", eps) for i in range(count)),
        norm=_norm(shapes, _D + "layer_norm/", eps),
        tied=tied,
        embed_scale=_embed_scale(model, dim),
        embed_norm=_norm(shapes, _D + "layernorm_embedding/", eps) if _D + "layernorm_embedding/gamma" in shapes else None,
        position=Learned(count=positions[0]) if positions else None,
        output=Next(softcap=model.optional_number("final_logit_softcapping"), bias=_D + "projection/bias" in shapes),
        context=positions[0] if positions else _stated(context),
    )
    model.finish()
    config.finish()
    return built


def _stated(context: int | None) -> int:
    if context is None:
        raise ConfigError("model.bin does not say how many tokens it was made for: say it in tokenizer_config.json, model_max_length")
    return context


def matrix(shapes: Shapes, name: str) -> tuple[int, int]:
    match shapes.get(name):
        case (rows, columns):
            return rows, columns
        case other:
            raise ConfigError(f"model.bin: {name} must be a matrix, but is {'missing' if other is None else list(other)}")


def _layer(model: Config, settings: Mapping[str, float], shapes: Shapes, layer: str, eps: float | None) -> Layer:
    own = Config({name.removeprefix(layer): v for name, v in settings.items() if name.startswith(layer)}, f"model.bin: {layer[:-1]}")
    own.ignore(*(name for name in own.values if name.endswith("layer_norm_use_residual")))
    _refuse_others(shapes, layer)
    built = Layer(
        mixer=_attention(model, own, shapes, layer + "self_attention/", eps),
        ffn=_mlp(model, shapes, layer + "ffn/"),
        norm=_norm(shapes, layer + "self_attention/layer_norm/", eps),
    )
    own.finish()
    return built


_KNOWN = re.compile(
    r"self_attention/(layer_norm/(gamma|beta)|linear_[01]/(weight|bias)|[qk]_norm/gamma)"
    r"|ffn/(layer_norm/(gamma|beta)|linear_(0|1|0_noact)/(weight|bias))"
)


def _refuse_others(shapes: Shapes, layer: str) -> None:
    others = [name for name in shapes if name.startswith(layer) and not _KNOWN.fullmatch(name.removeprefix(layer))]
    if others:
        raise ConfigError(f"model.bin: {others[0]} is not supported, only attention, gated or plain layers and the norms around them")


def _attention(model: Config, own: Config, shapes: Shapes, at: str, eps: float | None) -> Attention:
    heads = model.integer("num_heads")
    kv_heads = own.integer("self_attention/num_heads_kv", heads)
    rows, dim = matrix(shapes, at + "linear_0/weight")
    head_dim = own.integer("self_attention/head_dim", dim // heads)
    if rows != (heads + 2 * kv_heads) * head_dim:
        rows_of = f"{heads} queries and twice {kv_heads} keys of {head_dim}"
        raise ConfigError(f"model.bin: {at}linear_0/weight has {rows} rows, but must have {rows_of}")
    window = own.optional_integer("self_attention/sliding_window")
    return Attention(
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        mask=Window(size=window) if window else Causal(),
        position=_position(model, own, head_dim),
        qk_norm=QKNorm(norm=_norm(shapes, at + "q_norm/", eps)) if at + "q_norm/gamma" in shapes else None,
        bias=at + "linear_0/bias" in shapes,
        out_bias=at + "linear_1/bias" in shapes,
        scale=own.optional_number("self_attention/queries_scale"),
    )


def _position(model: Config, own: Config, head_dim: int) -> Rope | Alibi | None:
    model.only("scale_alibi", 0)
    model.ignore("alibi_use_positive_positions")  # a shift of every score, which a softmax does not see
    if model.integer("alibi", 0):
        return Alibi()
    dim = own.optional_integer("self_attention/rotary_dim")
    if dim is None:
        return None
    own.only("self_attention/rotary_interleave", 0)
    own.only("self_attention/rotary_scaling_type", None, 0)
    factor = own.optional_number("self_attention/rotary_scaling_factor")
    base, scaling = own.number("self_attention/rotary_base", 10_000.0), None if factor is None else Linear(factor=factor)
    return Rope(dim=dim or head_dim, base=base, scaling=scaling)


def _mlp(model: Config, shapes: Shapes, at: str) -> MLP:
    number, gated = model.integer("activation"), at + "linear_0_noact/weight" in shapes
    if not 0 <= number < len(ACTIVATIONS):
        raise ConfigError(f"model.bin: decoder/activation = {number} is not supported, only 0 to {len(ACTIVATIONS) - 1}")
    hidden, _ = matrix(shapes, at + "linear_0/weight")
    return MLP(hidden=hidden, activation=ACTIVATIONS[number], gated=gated, bias=at + "linear_0/bias" in shapes)


def _norm(shapes: Shapes, at: str, eps: float | None) -> Norm:
    kind, usual = ("layer", 1e-5) if at + "beta" in shapes else ("rms", 1e-6)
    return Norm(kind=kind, eps=usual if eps is None else eps)  # pyright: ignore[reportArgumentType]


def _embed_scale(model: Config, dim: int) -> float:
    """Said as a flag, which means the root of the dimension, or as the number itself."""
    usual = model.anything("embeddings/multiply_by_sqrt_depth")
    match model.anything("scale_embeddings"):
        case float(scale):
            return scale
        case 0:
            return 1.0
        case _:
            return dim**0.5 if usual is None else float(usual)


def affine(ours: str, theirs: str) -> dict[str, Recipe]:
    return {f"{ours}.weight": Copy(f"{theirs}/gamma"), f"{ours}.bias": Copy(f"{theirs}/beta")}


def linear(ours: str, *theirs: str) -> dict[str, Recipe]:
    """One matrix, or several behind one another."""
    return {f"{ours}.{field}": cat(*(f"{name}/{field}" for name in theirs)) for field in ("weight", "bias")}


_WEIGHTS: Recipes = {
    "embed.weight": Copy(_D + "embeddings/weight"),
    "positions.weight": Copy(_D + "position_encodings/encodings"),
    **affine("embed_norm", _D + "layernorm_embedding"),
    **affine("layers.{i}.norm1", _L + "self_attention/layer_norm"),
    **affine("layers.{i}.norm2", _L + "ffn/layer_norm"),
    **linear("layers.{i}.mixer.qkv", _L + "self_attention/linear_0"),
    **linear("layers.{i}.mixer.out", _L + "self_attention/linear_1"),
    "layers.{i}.mixer.q_norm.weight": Copy(_L + "self_attention/q_norm/gamma"),
    "layers.{i}.mixer.k_norm.weight": Copy(_L + "self_attention/k_norm/gamma"),
    **linear("layers.{i}.ffn.down", _L + "ffn/linear_1"),
    **affine("norm", _D + "layer_norm"),
    "head.weight": Copy(_D + "projection/weight"),
    "head.bias": Copy(_D + "projection/bias"),
}


def recipes(arch: Arch) -> Recipes:
    gated = isinstance(ffn := arch.layers[0].ffn, MLP) and ffn.gated
    ups = (_L + "ffn/linear_0", *([_L + "ffn/linear_0_noact"] if gated else []))
    return {**_WEIGHTS, **linear("layers.{i}.ffn.up", *ups)}
