"""GPT-Neo (Black et al. 2021): GPT-2 whose scores are not scaled and whose layers take turns in seeing a window."""

from typing import Any

from models.hf import Config, ConfigError, activation
from models.recipes import Copy, Recipes, both, cat
from models.spec import MLP, Arch, Attention, Causal, Layer, Learned, Mask, Norm, Window


def arch(config: Config) -> Arch:
    config.assume(max_position_embeddings=2048, intermediate_size=None)
    config.ignore("attention_layers", "resid_dropout", "embed_dropout", "classifier_dropout", *_SUMMARY)
    dim, heads, positions = config.integer("hidden_size"), config.integer("num_heads"), config.integer("max_position_embeddings")
    norm = Norm(kind="layer", eps=config.number("layer_norm_epsilon", 1e-5))
    hidden = config.integer("intermediate_size", 4 * dim)
    ffn = MLP(hidden=hidden, activation=activation(config, "activation_function", "gelu_new"), gated=False, bias=True)
    return Arch(
        dim=dim,
        vocab=config.integer("vocab_size"),
        layers=tuple(Layer(mixer=_mixer(heads, dim // heads, mask), ffn=ffn, norm=norm) for mask in _masks(config)),
        norm=norm,
        tied=config.flag("tie_word_embeddings", True),
        position=Learned(count=positions),
        context=positions,
    )


def _mixer(heads: int, head_dim: int, mask: Mask) -> Attention:
    return Attention(heads=heads, kv_heads=heads, head_dim=head_dim, out_bias=True, scale=1.0, mask=mask)


def _masks(config: Config) -> list[Mask]:
    """attention_types is a list of [kinds, how many times over]."""
    window = Window(size=config.integer("window_size", 256))
    known: dict[str, Mask] = {"global": Causal(), "local": window}
    kinds = [kind for pattern, times in config.pairs("attention_types") for kind in pattern * times]
    if len(kinds) != config.integer("num_layers") or not known.keys() >= set(kinds):
        raise ConfigError(f"{config.where}: attention_types must say global or local for each of num_layers layers, not {kinds}")
    return [known[kind] for kind in kinds]


_SUMMARY = ("summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels", "summary_first_dropout")

_L, _A = "transformer.h.{i}.", "transformer.h.{i}.attn.attention."

WEIGHTS: Recipes = {
    "embed.weight": Copy("transformer.wte.weight"),
    "positions.weight": Copy("transformer.wpe.weight"),
    **both("layers.{i}.norm1", _L + "ln_1"),
    "layers.{i}.mixer.qkv.weight": cat(*(_A + f"{p}_proj.weight" for p in "qkv")),
    **both("layers.{i}.mixer.out", _A + "out_proj"),
    **both("layers.{i}.norm2", _L + "ln_2"),
    **both("layers.{i}.ffn.up", _L + "mlp.c_fc"),
    **both("layers.{i}.ffn.down", _L + "mlp.c_proj"),
    **both("norm", "transformer.ln_f"),
    "head.weight": Copy("lm_head.weight"),
}

TINY: dict[str, Any] = {
    "architectures": ["GPTNeoForCausalLM"],
    "model_type": "gpt_neo",
    "hidden_size": 60,
    "num_layers": 4,
    "num_heads": 3,
    "intermediate_size": 100,
    "attention_types": [[["global", "local"], 2]],
    "window_size": 5,
    "max_position_embeddings": 128,
    "vocab_size": 256,
}
