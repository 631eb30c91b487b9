"""Whisper (arXiv 2212.04356): an encoder of spectrograms, and a decoder with norms before, learned positions and a tied head. Keys have
no bias."""

from typing import Any

from models.hf import Config, activation
from models.recipes import Alias, Cat, Copy, NoBias, Recipe, Recipes, Taps, both, cat
from models.spec import MLP, Arch, Attention, Causal, CrossAttention, Frames, Full, Layer, Learned, Mask, Norm, Tower

_NORM = Norm(kind="layer", eps=1e-5)


def arch(config: Config) -> Arch:
    config.only("is_encoder_decoder", True)
    config.only("scale_embedding", False)
    config.ignore(*_NOT_OURS)
    dim, heads = config.integer("d_model"), config.integer("decoder_attention_heads")
    rows, context = config.integer("max_source_positions", 1500), config.integer("max_target_positions", 448)
    cross = CrossAttention(heads=heads, kv_heads=heads, head_dim=dim // heads, bias=True, out_bias=True)
    encoder = Tower(
        dim=dim,
        layers=(_layer(config, "encoder", Full(), None),) * config.integer("encoder_layers"),
        norm=_NORM,
        input=Frames(bins=config.integer("num_mel_bins", 80)),
        position=Learned(count=rows),
        context=rows,
    )
    return Arch(
        dim=dim,
        vocab=config.integer("vocab_size"),
        layers=(_layer(config, "decoder", Causal(), cross),) * config.integer("decoder_layers"),
        norm=_NORM,
        tied=config.flag("tie_word_embeddings", True),
        position=Learned(count=context),
        encoder=encoder,
        context=context,
    )


def _layer(config: Config, stack: str, mask: Mask, cross: CrossAttention | None) -> Layer:
    heads, dim = config.integer(f"{stack}_attention_heads"), config.integer("d_model")
    mixer = Attention(heads=heads, kv_heads=heads, head_dim=dim // heads, mask=mask, bias=True, out_bias=True)
    act = activation(config, "activation_function", "gelu")
    ffn = MLP(hidden=config.integer(f"{stack}_ffn_dim"), activation=act, gated=False, bias=True)
    return Layer(mixer=mixer, ffn=ffn, norm=_NORM, cross=cross)


# of training, of classifying sounds, or read where the answer is generated
_NOT_OURS = (
    *("activation_dropout", "apply_spec_augment", "attention_dropout", "begin_suppress_tokens", "classifier_proj_size"),
    *("decoder_layerdrop", "decoder_start_token_id", "dropout", "encoder_layerdrop", "forced_decoder_ids", "init_std"),
    *("mask_feature_length", "mask_feature_min_masks", "mask_feature_prob", "mask_time_length", "mask_time_min_masks"),
    *("mask_time_prob", "max_length", "median_filter_width", "num_hidden_layers", "suppress_tokens", "use_weighted_layer_sum"),
)


def _biases(theirs: str, *parts: str) -> Cat:
    return Cat(tuple(_bias(f"{theirs}{part}") for part in parts))


def _bias(matrix: str) -> Recipe:
    return NoBias(Copy(f"{matrix}.weight")) if matrix.endswith("k_proj") else Copy(f"{matrix}.bias")


def _stack(ours: str, theirs: str) -> Recipes:
    """Of an encoder's layers, or of what a decoder's have in common with them."""
    return {
        **both(f"{ours}norm1", f"{theirs}self_attn_layer_norm"),
        f"{ours}mixer.qkv.weight": cat(*(f"{theirs}self_attn.{p}_proj.weight" for p in "qkv")),
        f"{ours}mixer.qkv.bias": _biases(f"{theirs}self_attn.", "q_proj", "k_proj", "v_proj"),
        **both(f"{ours}mixer.out", f"{theirs}self_attn.out_proj"),
        **both(f"{ours}norm2", f"{theirs}final_layer_norm"),
        **both(f"{ours}ffn.up", f"{theirs}fc1"),
        **both(f"{ours}ffn.down", f"{theirs}fc2"),
    }


_E, _D, _C = "model.encoder.", "model.decoder.layers.{i}.", "model.decoder.layers.{i}.encoder_attn."

WEIGHTS: Recipes = {
    "encoder.embed.near.weight": Taps(Copy(_E + "conv1.weight")),
    "encoder.embed.near.bias": Copy(_E + "conv1.bias"),
    "encoder.embed.halve.weight": Taps(Copy(_E + "conv2.weight")),
    "encoder.embed.halve.bias": Copy(_E + "conv2.bias"),
    "encoder.positions.weight": Copy(_E + "embed_positions.weight"),
    **_stack("encoder.layers.{i}.", _E + "layers.{i}."),
    **both("encoder.norm", _E + "layer_norm"),
    "embed.weight": Alias((Copy("model.decoder.embed_tokens.weight"), Copy("proj_out.weight"))),
    "positions.weight": Copy("model.decoder.embed_positions.weight"),
    **_stack("layers.{i}.", _D),
    **both("layers.{i}.norm_cross", _D + "encoder_attn_layer_norm"),
    **both("layers.{i}.cross.q", _C + "q_proj"),
    "layers.{i}.cross.kv.weight": cat(_C + "k_proj.weight", _C + "v_proj.weight"),
    "layers.{i}.cross.kv.bias": _biases(_C, "k_proj", "v_proj"),
    **both("layers.{i}.cross.out", _C + "out_proj"),
    **both("norm", "model.decoder.layer_norm"),
    "head.weight": Copy("proj_out.weight"),
}

TINY: dict[str, Any] = {
    "architectures": ["WhisperForConditionalGeneration"],
    "model_type": "whisper",
    "d_model": 36,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 60,
    "decoder_ffn_dim": 52,
    "vocab_size": 256,
    "num_mel_bins": 10,
    "max_source_positions": 30,
    "max_target_positions": 64,
    "decoder_start_token_id": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 3,
    "activation_function": "gelu",
}
