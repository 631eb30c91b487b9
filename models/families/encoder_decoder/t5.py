"""T5 (arXiv 1910.10683), T5 v1.1 and Flan-T5 (arXiv 2210.11416): norms before, no biases, scores that are not scaled, and one table of
relative positions for each stack. Where the head is the embedding, rows are divided by the square root of their width before it."""

from collections.abc import Callable
from typing import Any

from models.hf import Config, activation
from models.recipes import Alias, Copy, First, Recipes, cat
from models.spec import MLP, Arch, Attention, Causal, CrossAttention, Full, Layer, Mask, Next, Norm, Pooled, RelativeBias, Tower


def arch(config: Config) -> Arch:
    return encoder_decoder(config, shared=True)


def encoder_decoder(config: Config, *, shared: bool) -> Arch:
    """`shared`: whether the layers of a stack have one table of relative positions."""
    config.only("is_encoder_decoder", True)
    config.ignore(*_NOT_OURS)
    dim, heads, head_dim = config.integer("d_model"), config.integer("num_heads"), config.integer("d_kv")
    layers, context = config.integer("num_layers"), config.integer("n_positions", 512)
    norm, layer = _norm(config), _layers(config, shared)
    tied = config.flag("scale_decoder_outputs", config.flag("tie_word_embeddings", True))
    cross = CrossAttention(heads=heads, kv_heads=heads, head_dim=head_dim, scale=1.0)
    return Arch(
        dim=dim,
        vocab=config.integer("vocab_size"),
        layers=(layer(Causal(), cross),) * config.integer("num_decoder_layers", layers),
        norm=norm,
        tied=tied,
        encoder=Tower(dim=dim, layers=(layer(Full()),) * layers, norm=norm, context=context),
        output=Next(scale=dim**-0.5 if tied else 1.0),
        context=context,
    )


def encoder(config: Config) -> Arch:
    """Of texts alone, as T5EncoderModel is: its rows count, not what is pooled of them."""
    config.ignore("is_encoder_decoder", "num_decoder_layers", "scale_decoder_outputs", "tie_word_embeddings", *_NOT_OURS)
    return Arch(
        dim=config.integer("d_model"),
        vocab=config.integer("vocab_size"),
        layers=(_layers(config, shared=True)(Full()),) * config.integer("num_layers"),
        norm=_norm(config),
        output=Pooled(),
        context=config.integer("n_positions", 512),
    )


def _layers(config: Config, shared: bool) -> Callable[..., Layer]:
    """(mask, cross) -> layer"""
    heads, head_dim, position = config.integer("num_heads"), config.integer("d_kv"), _position(config, shared)
    norm, ffn = _norm(config), _ffn(config)

    def layer(mask: Mask, cross: CrossAttention | None = None) -> Layer:
        mixer = Attention(heads=heads, kv_heads=heads, head_dim=head_dim, mask=mask, position=position, scale=1.0)
        return Layer(mixer=mixer, ffn=ffn, norm=norm, cross=cross)

    return layer


def _norm(config: Config) -> Norm:
    return Norm(eps=config.number("layer_norm_epsilon", 1e-6))


def _position(config: Config, shared: bool) -> RelativeBias:
    buckets, most = config.integer("relative_attention_num_buckets", 32), config.integer("relative_attention_max_distance", 128)
    return RelativeBias(buckets=buckets, max_distance=most, shared=shared)


def _ffn(config: Config) -> MLP:
    """feed_forward_proj says it all; gated-gelu is the approximate one."""
    kind = config.text("feed_forward_proj", "relu")
    act = Config({"act": "gelu_new" if kind == "gated-gelu" else kind.removeprefix("gated-")}, f"{config.where}: feed_forward_proj")
    return MLP(hidden=config.integer("d_ff"), activation=activation(act, "act"), gated=kind.startswith("gated-"))


# of training, said again in other words, or read where the answer is generated
_NOT_OURS = ("decoder_start_token_id", "dense_act_fn", "dropout_rate", "initializer_factor", "is_decoder", "is_gated_act", "output_past")

_D, _E = "decoder.block.{i}.layer.", "encoder.block.{i}.layer."


def _stack(ours: str, theirs: str, ffn: str) -> Recipes:
    """`ffn`: the number of its sublayer."""
    inner = f"{theirs}{ffn}.DenseReluDense."
    return {
        f"{ours}norm1.weight": Copy(f"{theirs}0.layer_norm.weight"),
        f"{ours}mixer.qkv.weight": cat(*(f"{theirs}0.SelfAttention.{p}.weight" for p in "qkv")),
        f"{ours}mixer.relative.weight": Copy(f"{theirs}0.SelfAttention.relative_attention_bias.weight"),
        f"{ours}mixer.out.weight": Copy(f"{theirs}0.SelfAttention.o.weight"),
        f"{ours}norm2.weight": Copy(f"{theirs}{ffn}.layer_norm.weight"),
        f"{ours}ffn.up.weight": First((cat(f"{inner}wi_0.weight", f"{inner}wi_1.weight"), Copy(f"{inner}wi.weight"))),
        f"{ours}ffn.down.weight": Copy(f"{inner}wo.weight"),
    }


WEIGHTS: Recipes = {
    "embed.weight": Alias((Copy("shared.weight"), Copy("decoder.embed_tokens.weight"), Copy("encoder.embed_tokens.weight"))),
    **_stack("encoder.layers.{i}.", _E, "1"),
    "encoder.norm.weight": Copy("encoder.final_layer_norm.weight"),
    **_stack("layers.{i}.", _D, "2"),
    "layers.{i}.norm_cross.weight": Copy(_D + "1.layer_norm.weight"),
    "layers.{i}.cross.q.weight": Copy(_D + "1.EncDecAttention.q.weight"),
    "layers.{i}.cross.kv.weight": cat(_D + "1.EncDecAttention.k.weight", _D + "1.EncDecAttention.v.weight"),
    "layers.{i}.cross.out.weight": Copy(_D + "1.EncDecAttention.o.weight"),
    "norm.weight": Copy("decoder.final_layer_norm.weight"),
    "head.weight": First((Copy("lm_head.weight"), Copy("shared.weight"))),
}

ENCODER: Recipes = {
    "embed.weight": Alias((Copy("shared.weight"), Copy("encoder.embed_tokens.weight"))),
    **_stack("layers.{i}.", _E, "1"),
    "norm.weight": Copy("encoder.final_layer_norm.weight"),
}

TINY: dict[str, Any] = {
    "architectures": ["T5ForConditionalGeneration"],
    "model_type": "t5",
    "d_model": 36,
    "d_kv": 10,
    "d_ff": 60,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 4,
    "vocab_size": 256,
    "relative_attention_num_buckets": 12,
    "relative_attention_max_distance": 20,
    "decoder_start_token_id": 0,
    "n_positions": 128,
}
