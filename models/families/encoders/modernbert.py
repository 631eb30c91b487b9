"""ModernBERT (arXiv 2412.13663): pre-norm, RoPE, gated GELU; most layers see a neighbourhood only. The first mixer reads
the normed embedding as it is."""

from typing import Any

from models.families.changes import sliding
from models.families.encoders.bert import output
from models.hf import Config, activation, rope
from models.recipes import Copy, Recipes, both
from models.spec import MLP, Arch, Attention, Dense, Full, Layer, Neighbourhood, Norm, Rope

PREFIX = "model."
UNUSED = r"(head|decoder|classifier)\..*"

_GLOBAL, _LOCAL = "full_attention", "sliding_attention"


def arch(config: Config) -> Arch:
    config.ignore(*_NOT_OURS)
    dim, norm = config.integer("hidden_size"), _norm(config)
    hidden = Dense(
        width=dim, bias=config.flag("classifier_bias", False), activation=activation(config, "classifier_activation", "gelu"), norm=norm
    )
    config.only("classifier_pooling", "cls", "mean")
    return Arch(
        dim=dim,
        vocab=config.integer("vocab_size"),
        layers=_layers(config, norm),
        norm=norm,
        embed_norm=norm,
        output=output(config, hidden, "mean" if config.text("classifier_pooling", "cls") == "mean" else "cls"),
        context=config.integer("max_position_embeddings", 8192),
    )


def _norm(config: Config) -> Norm:
    return Norm(kind="layer" if config.flag("norm_bias", False) else "layer_unbiased", eps=config.number("norm_eps", 1e-5))


def _layers(config: Config, norm: Norm) -> tuple[Layer, ...]:
    ffn = MLP(
        hidden=config.integer("intermediate_size"),
        activation=activation(config, "hidden_activation", "gelu"),
        bias=config.flag("mlp_bias", False),
    )
    mixers = (_mixer(config, is_local) for is_local in _locals(config, config.integer("num_hidden_layers")))
    return tuple(Layer(mixer=m, ffn=ffn, norm=norm, placement="pre" if i else "pre_ffn") for i, m in enumerate(mixers))


def _mixer(config: Config, is_local: bool) -> Attention:
    heads, bias = config.integer("num_attention_heads"), config.flag("attention_bias", False)
    dim = config.integer("hidden_size") // heads
    mask = Neighbourhood(distance=config.integer("local_attention", 128) // 2) if is_local else Full()
    position = _rope(config, dim, is_local)
    return Attention(heads=heads, kv_heads=heads, head_dim=dim, mask=mask, position=position, bias=bias, out_bias=bias)


def _rope(config: Config, dim: int, is_local: bool) -> Rope:
    older = Rope(dim=dim, base=_theta(config)[is_local])
    return rope(config, dim, _LOCAL if is_local else _GLOBAL) if config.part("rope_parameters") else older


def _theta(config: Config) -> tuple[float, float]:
    """Of layers that see everything, and of the others."""
    return config.number("global_rope_theta", 160_000.0), config.number("local_rope_theta", 10_000.0)


def _locals(config: Config, count: int) -> tuple[bool, ...]:
    """By `layer_types`, or all but each first of a few."""
    every = config.integer("global_attn_every_n_layers", 3)
    older = tuple(_LOCAL if i % every else _GLOBAL for i in range(count))
    return sliding(config.items("layer_types", str) or older, count)


# of training, of the masked-word head, or read by nobody although published
_NOT_OURS = (
    *("cls_token_id", "embedding_dropout", "mlp_dropout", "initializer_cutoff_factor", "deterministic_flash_attn", "reference_compile"),
    *("decoder_bias", "repad_logits_with_grad", "sparse_pred_ignore_index", "sparse_prediction", "tie_word_embeddings"),
    *("layer_norm_eps", "position_embedding_type"),
)

_L = "layers.{i}."

WEIGHTS: Recipes = {
    "embed.weight": Copy("embeddings.tok_embeddings.weight"),
    **both("embed_norm", "embeddings.norm"),
    **both(_L + "norm1", _L + "attn_norm"),
    **both(_L + "mixer.qkv", _L + "attn.Wqkv"),
    **both(_L + "mixer.out", _L + "attn.Wo"),
    **both(_L + "norm2", _L + "mlp_norm"),
    **both(_L + "ffn.up", _L + "mlp.Wi"),
    **both(_L + "ffn.down", _L + "mlp.Wo"),
    **both("norm", "final_norm"),
}

HEAD: Recipes = {
    **both("head.layers.0.linear", "head.dense"),
    **both("head.layers.0.norm", "head.norm"),
    **both("head.layers.1.linear", "classifier"),
}

TINY: dict[str, Any] = {
    "architectures": ["ModernBertModel"],
    "model_type": "modernbert",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "vocab_size": 256,
    "max_position_embeddings": 128,
    "local_attention": 8,
    "global_attn_every_n_layers": 3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "cls_token_id": 1,
    "sep_token_id": 2,
}
