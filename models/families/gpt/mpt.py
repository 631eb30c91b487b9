"""MPT (MosaicML 2023): LayerNorm and matrices without biases, ALiBi, exact GELU."""

from typing import Any

from models.families.gpt import gpt2
from models.hf import Config
from models.recipes import Copy, Recipes
from models.spec import MLP, Alibi, Arch, Attention, Layer, Norm


def arch(config: Config) -> Arch:
    config.only("no_bias", True)
    config.only("embedding_fraction", 1.0)
    config.only("norm_type", "low_precision_layernorm", "layernorm")
    config.ignore("learned_pos_emb", "emb_pdrop", "init_device", "logit_scale", "verbose", "init_config", "tokenizer_name")
    dim = config.integer("d_model")
    norm = Norm(kind="layer_unbiased", eps=config.number("layer_norm_epsilon", 1e-5))
    ffn = MLP(hidden=config.integer("expansion_ratio", 4) * dim, activation="gelu", gated=False)
    return Arch(
        dim=dim,
        vocab=config.integer("vocab_size"),
        layers=(Layer(mixer=_mixer(config, config.integer("n_heads")), ffn=ffn, norm=norm),) * config.integer("n_layers"),
        norm=norm,
        tied=config.flag("tie_word_embeddings", True),
        context=config.integer("max_seq_len", 2048),
    )


def _mixer(config: Config, heads: int) -> Attention:
    part = config.part("attn_config") or Config({})
    for key, value in (("alibi", True), ("qk_ln", False), ("prefix_lm", False), ("attn_uses_sequence_id", False)):
        part.only(key, value)
    part.only("attn_type", "multihead_attention")
    part.ignore("attn_impl", "attn_pdrop", "chunk_size_feed_forward", "is_encoder_decoder")
    return Attention(
        heads=heads,
        kv_heads=heads,
        head_dim=config.integer("d_model") // heads,
        position=Alibi(max_bias=part.number("alibi_bias_max", 8.0)),
        clip=part.optional_number("clip_qkv"),
        scale=part.optional_number("softmax_scale"),
    )


_L = "transformer.blocks.{i}."

WEIGHTS: Recipes = {
    "embed.weight": Copy("transformer.wte.weight"),
    "layers.{i}.norm1.weight": Copy(_L + "norm_1.weight"),
    "layers.{i}.mixer.qkv.weight": Copy(_L + "attn.Wqkv.weight"),
    "layers.{i}.mixer.out.weight": Copy(_L + "attn.out_proj.weight"),
    "layers.{i}.norm2.weight": Copy(_L + "norm_2.weight"),
    "layers.{i}.ffn.up.weight": Copy(_L + "ffn.up_proj.weight"),
    "layers.{i}.ffn.down.weight": Copy(_L + "ffn.down_proj.weight"),
    "norm.weight": Copy("transformer.norm_f.weight"),
    "head.weight": Copy("lm_head.weight"),
}

GGUF = gpt2.GGUF

TINY: dict[str, Any] = {
    "architectures": ["MptForCausalLM"],
    "model_type": "mpt",
    "d_model": 60,
    "n_layers": 3,
    "n_heads": 6,
    "max_seq_len": 128,
    "vocab_size": 256,
    "attn_config": {"alibi": True, "clip_qkv": 1.5, "alibi_bias_max": 8},
}
