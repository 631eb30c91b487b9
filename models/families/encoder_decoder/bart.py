"""BART (arXiv 1910.13461): post-norm layers, learned positions counted from 2 on, a norm on the embedding, and a bias on the logits of a
tied head. What is built like it says how it differs with `Style`."""

from dataclasses import dataclass
from typing import Any, Literal

from models.hf import Config, activation
from models.recipes import Alias, Copy, Flatten, Recipes, Rows, both, cat
from models.spec import (
    MLP,
    Arch,
    Attention,
    Causal,
    CrossAttention,
    Full,
    Layer,
    Learned,
    Mask,
    Next,
    Norm,
    OwnEmbedding,
    Sinusoidal,
    Tower,
)

_UNREAD_ROWS = 2
_NORM = Norm(kind="layer", eps=1e-5)


@dataclass(frozen=True, kw_only=True)
class Style:
    """`placement` pre: with a norm behind the last layer of each stack, too. `embed_norm`: a norm on embeddings with positions.
    `bias`: on the logits."""

    placement: Literal["pre", "post"]
    position: Learned | Sinusoidal
    embed_norm: bool
    bias: bool = True


def arch(config: Config) -> Arch:
    count = config.integer("max_position_embeddings", 1024)
    return encoder_decoder(config, Style(placement="post", position=Learned(count=count), embed_norm=True))


def encoder_decoder(config: Config, style: Style) -> Arch:
    config.only("is_encoder_decoder", True)
    config.ignore(*_NOT_OURS)
    dim, vocab, context = config.integer("d_model"), config.integer("vocab_size"), config.integer("max_position_embeddings", 1024)
    scale = dim**0.5 if config.flag("scale_embedding", False) else 1.0
    ends = _NORM if style.placement == "pre" else None
    embed_norm = _NORM if style.embed_norm else None
    heads = config.integer("decoder_attention_heads")
    cross = CrossAttention(heads=heads, kv_heads=heads, head_dim=dim // heads, bias=True, out_bias=True)
    own = not config.flag("share_encoder_decoder_embeddings", True)
    encoder = Tower(
        dim=dim,
        layers=(_layer(config, style, "encoder", Full(), None),) * config.integer("encoder_layers"),
        norm=ends,
        embed_scale=scale,
        embed_norm=embed_norm,
        position=style.position,
        context=context,
        **({"input": OwnEmbedding(vocab=vocab)} if own else {}),
    )
    return Arch(
        dim=dim,
        vocab=config.integer("decoder_vocab_size", vocab),
        layers=(_layer(config, style, "decoder", Causal(), cross),) * config.integer("decoder_layers"),
        norm=ends,
        tied=config.flag("tie_word_embeddings", True),
        embed_scale=scale,
        embed_norm=embed_norm,
        position=style.position,
        encoder=encoder,
        output=Next(bias=style.bias),
        context=context,
    )


def _layer(config: Config, style: Style, stack: str, mask: Mask, cross: CrossAttention | None) -> Layer:
    heads, dim = config.integer(f"{stack}_attention_heads"), config.integer("d_model")
    mixer = Attention(heads=heads, kv_heads=heads, head_dim=dim // heads, mask=mask, bias=True, out_bias=True)
    act = activation(config, "activation_function", "gelu")
    ffn = MLP(hidden=config.integer(f"{stack}_ffn_dim"), activation=act, gated=False, bias=True)
    return Layer(mixer=mixer, ffn=ffn, norm=_NORM, placement=style.placement, cross=cross)


# of training, of what is generated, or what the architecture's name says already
_NOT_OURS = (
    *("_num_labels", "activation_dropout", "add_bias_logits", "add_final_layer_norm", "classif_dropout", "decoder_layerdrop"),
    *("decoder_start_token_id", "dropout", "encoder_layerdrop", "extra_pos_embeddings", "force_bos_token_to_be_generated", "init_std"),
    *("is_decoder", "normalize_before", "normalize_embedding", "num_hidden_layers", "output_past", "save_step"),
    *("static_position_embeddings", "max_source_length", "max_target_length"),
)


def _stack(ours: str, theirs: str) -> Recipes:
    """Of an encoder's layers, or of what a decoder's have in common with them."""
    return {
        **both(f"{ours}norm1", f"{theirs}self_attn_layer_norm"),
        f"{ours}mixer.qkv.weight": cat(*(f"{theirs}self_attn.{p}_proj.weight" for p in "qkv")),
        f"{ours}mixer.qkv.bias": cat(*(f"{theirs}self_attn.{p}_proj.bias" for p in "qkv")),
        **both(f"{ours}mixer.out", f"{theirs}self_attn.out_proj"),
        **both(f"{ours}norm2", f"{theirs}final_layer_norm"),
        **both(f"{ours}ffn.up", f"{theirs}fc1"),
        **both(f"{ours}ffn.down", f"{theirs}fc2"),
    }


_D, _C = "model.decoder.layers.{i}.", "model.decoder.layers.{i}.encoder_attn."
_EMBEDDINGS = ("model.shared.weight", "model.decoder.embed_tokens.weight", "model.encoder.embed_tokens.weight")

WEIGHTS: Recipes = {
    "embed.weight": Alias(tuple(map(Copy, _EMBEDDINGS))),
    "encoder.embed.weight": Copy("model.encoder.embed_tokens.weight"),
    "encoder.positions.weight": Rows(Copy("model.encoder.embed_positions.weight"), _UNREAD_ROWS),
    **both("encoder.embed_norm", "model.encoder.layernorm_embedding"),
    **_stack("encoder.layers.{i}.", "model.encoder.layers.{i}."),
    **both("encoder.norm", "model.encoder.layer_norm"),
    "positions.weight": Rows(Copy("model.decoder.embed_positions.weight"), _UNREAD_ROWS),
    **both("embed_norm", "model.decoder.layernorm_embedding"),
    **_stack("layers.{i}.", _D),
    **both("layers.{i}.norm_cross", _D + "encoder_attn_layer_norm"),
    **both("layers.{i}.cross.q", _C + "q_proj"),
    "layers.{i}.cross.kv.weight": cat(_C + "k_proj.weight", _C + "v_proj.weight"),
    "layers.{i}.cross.kv.bias": cat(_C + "k_proj.bias", _C + "v_proj.bias"),
    **both("layers.{i}.cross.out", _C + "out_proj"),
    **both("norm", "model.decoder.layer_norm"),
    "head.weight": Copy("lm_head.weight"),
    "head.bias": Flatten(Copy("final_logits_bias")),
    "tied_head.bias": Flatten(Copy("final_logits_bias")),
}

TINY: dict[str, Any] = {
    "architectures": ["BartForConditionalGeneration"],
    "model_type": "bart",
    "d_model": 36,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 60,
    "decoder_ffn_dim": 52,
    "vocab_size": 256,
    "max_position_embeddings": 128,
    "decoder_start_token_id": 2,
    "activation_function": "gelu",
}
