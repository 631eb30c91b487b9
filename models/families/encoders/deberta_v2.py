"""DeBERTa-v2 and v3 (arXiv 2006.03654, 2111.09543): contents and positions look at each other; v2 mixes neighbours once,
behind the first layer."""

from typing import Any

from models.families.encoders import bert
from models.hf import Config, ConfigError, activation
from models.recipes import Copy, Recipes, Taps, both, cat
from models.spec import MLP, Arch, Attention, Dense, Disentangled, Full, Layer, Learned, Ngrams, Norm

PREFIX = "deberta."
UNUSED = r"(cls|lm_predictions|mask_predictions|pooler|classifier)\..*"


def arch(config: Config) -> Arch:
    config.ignore("cls_dropout", "legacy", "pooler_dropout", "tie_word_embeddings")
    dim, positions = config.integer("hidden_size"), config.integer("max_position_embeddings", 512)
    config.only("embedding_size", dim)
    config.only("pooler_hidden_size", dim)
    norm = Norm(kind="layer", eps=config.number("layer_norm_eps", 1e-7))
    ffn = MLP(hidden=config.integer("intermediate_size"), activation=activation(config, "hidden_act", "gelu"), gated=False, bias=True)
    layer = Layer(mixer=_mixer(config, dim, norm), ffn=ffn, norm=norm, placement="post")
    return Arch(
        dim=dim,
        vocab=config.integer("vocab_size"),
        layers=(layer,) * config.integer("num_hidden_layers"),
        norm=None,
        embed_norm=norm,
        position=Learned(count=positions) if config.flag("position_biased_input", True) else None,
        segments=config.integer("type_vocab_size", 0),
        ngrams=_ngrams(config, norm),
        output=bert.output(config, Dense(width=dim, activation=activation(config, "pooler_hidden_act", "gelu"))),
        context=positions,
    )


def _mixer(config: Config, dim: int, norm: Norm) -> Attention:
    heads, kinds = config.integer("num_attention_heads"), _kinds(config)
    config.only("attention_head_size", dim // heads)
    position = _position(config, kinds, norm)
    scale = (dim // heads * (1 + len(kinds))) ** -0.5
    head_dim, mask = dim // heads, Full()
    return Attention(heads=heads, kv_heads=heads, head_dim=head_dim, mask=mask, position=position, bias=True, out_bias=True, scale=scale)


def _kinds(config: Config) -> frozenset[str]:
    """Who looks at positions: contents (c2p), or positions at contents (p2c). Older files write "p2c|c2p"."""
    given = config.anything("pos_att_type") or ()
    kinds = frozenset(kind.strip() for kind in (given.lower().split("|") if isinstance(given, str) else given))
    if unknown := kinds - {"c2p", "p2c"}:
        raise ConfigError(f"{config.where}: pos_att_type {', '.join(sorted(unknown))} is not supported, only c2p and p2c")
    return kinds


def _position(config: Config, kinds: frozenset[str], norm: Norm) -> Disentangled | None:
    buckets, most = config.integer("position_buckets", -1), config.integer("max_relative_positions", -1)
    most = config.integer("max_position_embeddings", 512) if most < 1 else most
    shared = config.flag("share_att_key", False)
    config.only("norm_rel_ebd", "none", "layer_norm")
    normed = norm if config.text("norm_rel_ebd", "none") == "layer_norm" else None
    if not config.flag("relative_attention", False) or not kinds:
        return None
    return Disentangled(
        span=buckets if buckets > 0 else most,
        max_distance=most if buckets > 0 else None,
        keys="c2p" in kinds,
        queries="p2c" in kinds,
        shared_projections=shared,
        norm=normed,
    )


def _ngrams(config: Config, norm: Norm) -> Ngrams | None:
    kernel, act = config.integer("conv_kernel_size", 0), activation(config, "conv_act", "tanh")
    config.only("conv_groups", 1)
    if kernel > 0 and kernel % 2 == 0:
        raise ConfigError(f"{config.where}: conv_kernel_size = {kernel} is not supported, only odd ones")
    return Ngrams(kernel=kernel, activation=act, norm=norm) if kernel > 0 else None


_L, _T, _A = "layers.{i}.", "encoder.layer.{i}.", "encoder.layer.{i}.attention."

WEIGHTS: Recipes = {
    "embed.weight": Copy("embeddings.word_embeddings.weight"),
    "positions.weight": Copy("embeddings.position_embeddings.weight"),
    "segments.weight": Copy("embeddings.token_type_embeddings.weight"),
    **both("embed_norm", "embeddings.LayerNorm"),
    "ngrams.conv.weight": Taps(Copy("encoder.conv.conv.weight")),
    "ngrams.conv.bias": Copy("encoder.conv.conv.bias"),
    **both("ngrams.norm", "encoder.conv.LayerNorm"),
    _L + "mixer.relative.table.weight": Copy("encoder.rel_embeddings.weight"),
    **both(_L + "mixer.relative.table.norm", "encoder.LayerNorm"),
    **both(_L + "mixer.relative.key", _A + "self.pos_key_proj"),
    **both(_L + "mixer.relative.query", _A + "self.pos_query_proj"),
    _L + "mixer.qkv.weight": cat(*(_A + f"self.{p}_proj.weight" for p in ("query", "key", "value"))),
    _L + "mixer.qkv.bias": cat(*(_A + f"self.{p}_proj.bias" for p in ("query", "key", "value"))),
    **both(_L + "mixer.out", _A + "output.dense"),
    **both(_L + "norm1", _A + "output.LayerNorm"),
    **both(_L + "ffn.up", _T + "intermediate.dense"),
    **both(_L + "ffn.down", _T + "output.dense"),
    **both(_L + "norm2", _T + "output.LayerNorm"),
}

HEAD = bert.HEAD

TINY: dict[str, Any] = bert.TINY | {
    "architectures": ["DebertaV2Model"],
    "model_type": "deberta-v2",
    "relative_attention": True,
    "pos_att_type": ["c2p", "p2c"],
    "position_buckets": 12,
    "max_relative_positions": 30,
    "norm_rel_ebd": "layer_norm",
    "conv_kernel_size": 3,
    "conv_act": "gelu",
}
