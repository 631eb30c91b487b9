"""Reformer (arXiv 2001.04451) as an encoder: local layers and layers of hashing, reversible, axial positions. What is here of the
decoder too is used by models/families/gpt/reformer_lm.py."""

from math import lcm
from typing import Any

from models.families.encoders.bert import output
from models.hf import Config, ConfigError, activation
from models.recipes import Copy, Flatten, Recipes, both, cat
from models.spec import (
    MLP,
    Arch,
    Attention,
    Axial,
    Chunked,
    Dense,
    Layer,
    Learned,
    LshAttention,
    Mixer,
    Norm,
    Output,
    Ring,
    Sorted,
)

PREFIX = "reformer."
UNUSED = r"(lm_head|classifier|qa_outputs)\..*|.*\.self_attention\.(self_)?mask_value_float(16|32)"


def arch(config: Config) -> Arch:
    config.only("is_decoder", False)
    return body(config, output(config, Dense(width=config.integer("hidden_size", 256), activation="tanh")), causal=False)


def body(config: Config, output: Output, *, causal: bool) -> Arch:
    config.ignore(*_NOT_OURS)
    dim = config.integer("hidden_size", 256)
    norm = Norm(kind="layer", eps=config.number("layer_norm_eps", 1e-12))
    ffn = MLP(hidden=config.integer("feed_forward_size", 512), activation=activation(config, "hidden_act", "relu"), gated=False, bias=True)
    mixers = [_mixer(config, kind, causal) for kind in _kinds(config)]
    position = _position(config, dim)
    return Arch(
        dim=dim,
        vocab=config.integer("vocab_size", 320),
        layers=tuple(Layer(mixer=mixer, ffn=ffn, norm=norm, placement="reversible") for mixer in mixers),
        norm=norm,
        position=position,
        output=output,
        context=min(position.count, config.integer("max_position_embeddings", 4096)),
    )


_KINDS = ("local", "lsh")


def _kinds(config: Config) -> tuple[str, ...]:
    kinds = config.items("attn_layers", str) or _KINDS * 3
    if set(kinds) - set(_KINDS):
        raise ConfigError(f"{config.where}: attn_layers must be made of local and lsh, not {list(kinds)}")
    return kinds


def _position(config: Config, dim: int) -> Learned | Axial:
    shape, dims = config.integers("axial_pos_shape") or (64, 64), config.integers("axial_pos_embds_dim") or (64, 192)
    if not config.flag("axial_pos_embds", True):
        return Learned(count=config.integer("max_position_embeddings", 4096))
    if len(shape) != 2 or len(dims) != 2 or sum(dims) != dim:
        raise ConfigError(f"{config.where}: axial_pos_shape and axial_pos_embds_dim must be two numbers each, the latter {dim} together")
    (rows, columns), (row_dim, column_dim) = map(int, shape), map(int, dims)
    return Axial(rows=rows, columns=columns, row_dim=row_dim, column_dim=column_dim)


def _mixer(config: Config, kind: str, causal: bool) -> Mixer:
    heads, dim = config.integer("num_attention_heads", 12), config.integer("attention_head_size", 64)
    if kind == "local":
        return Attention(heads=heads, kv_heads=heads, head_dim=dim, mask=_around(config, "local", causal))
    if config.anything("num_buckets") is None:
        raise ConfigError(f"{config.where}: num_buckets is missing: say how many; transformers would choose by the first text that it sees")
    given = config.anything("num_buckets")
    return LshAttention(
        heads=heads,
        head_dim=dim,
        mask=_sorted(config) if causal else _ring(config, "lsh"),
        rounds=config.integer("num_hashes", 1),
        buckets=(given,) if isinstance(given, int) else tuple(map(int, config.integers("num_buckets") or ())),
        seed=config.integer("hash_seed", 0),  # null there: other random matrices at every call
    )


def _around(config: Config, kind: str, causal: bool) -> Chunked | Ring:
    if not causal:
        return _ring(config, kind)
    config.only("local_num_chunks_after", 0)
    return Chunked(size=_size(config, kind), before=config.integer("local_num_chunks_before", 1))


def _sorted(config: Config) -> Sorted:
    config.only("lsh_num_chunks_after", 0)
    return Sorted(size=_size(config, "lsh"), before=config.integer("lsh_num_chunks_before", 1))


def _ring(config: Config, kind: str) -> Ring:
    sizes = {_size(config, kind) for kind in _kinds(config)}
    before, after = config.integer(f"{kind}_num_chunks_before", 1), config.integer(f"{kind}_num_chunks_after", 0)
    return Ring(size=_size(config, kind), before=before, after=after, least=min(sizes), multiple=lcm(*sizes))


def _size(config: Config, kind: str) -> int:
    return config.integer(f"{kind}_attn_chunk_length", 64)


# of training and of other layers than there are, or read by nobody although published
_NOT_OURS = (
    *("axial_norm_std", "chunk_size_feed_forward", "chunk_size_lm_head", "lsh_attention_probs_dropout_prob", "num_hidden_layers"),
    *("local_attention_probs_dropout_prob", "num_chunks_after", "num_chunks_before", "output_past", "sinusoidal_pos_embds"),
    *("tie_word_embeddings", "num_buckets", "num_hashes", "hash_seed"),
    *(f"{kind}_{key}" for kind in _KINDS for key in ("attn_chunk_length", "num_chunks_before", "num_chunks_after")),
)

_L = "encoder.layers.{i}."
_A = _L + "attention.self_attention."
_P = "embeddings.position_embeddings."

WEIGHTS: Recipes = {
    "embed.weight": Copy("embeddings.word_embeddings.weight"),
    "positions.weight": Copy(_P + "embedding.weight"),
    "positions.rows.weight": Flatten(Copy(_P + "weights.0")),
    "positions.columns.weight": Flatten(Copy(_P + "weights.1")),
    **both("layers.{i}.norm1", _L + "attention.layer_norm"),
    "layers.{i}.mixer.qkv.weight": cat(*(_A + f"{part}.weight" for part in ("query", "key", "value"))),
    "layers.{i}.mixer.shared_qkv.weight": cat(*(_A + f"{part}.weight" for part in ("query_key", "value"))),
    "layers.{i}.mixer.out.weight": Copy(_L + "attention.output.dense.weight"),
    **both("layers.{i}.norm2", _L + "feed_forward.layer_norm"),
    **both("layers.{i}.ffn.up", _L + "feed_forward.dense.dense"),
    **both("layers.{i}.ffn.down", _L + "feed_forward.output.dense"),
    **both("norm", "encoder.layer_norm"),
}

HEAD: Recipes = {**both("head.layers.0.linear", "classifier.dense"), **both("head.layers.1.linear", "classifier.out_proj")}

TINY: dict[str, Any] = {
    "architectures": ["ReformerModel"],
    "model_type": "reformer",
    "hidden_size": 48,
    "attention_head_size": 12,
    "num_attention_heads": 3,
    "feed_forward_size": 72,
    "attn_layers": ["local", "lsh", "lsh", "local"],
    "local_attn_chunk_length": 4,
    "lsh_attn_chunk_length": 6,
    "num_hashes": 2,
    "num_buckets": [2, 4],
    "hash_seed": 3,
    "axial_pos_shape": [8, 16],
    "axial_pos_embds_dim": [20, 28],
    "max_position_embeddings": 128,
    "vocab_size": 256,
    "is_decoder": False,
}
