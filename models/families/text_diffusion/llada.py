"""LLaDA (arXiv 2502.09992): Llama whose tokens see the whole text, and whose answers are denoised."""

from typing import Any

from models.hf import Config, rope
from models.recipes import Copy, First, Recipes, cat
from models.spec import MLP, Arch, Attention, Denoised, Full, Layer, Norm


def arch(config: Config) -> Arch:
    _expect_llama(config)
    dim, heads = config.integer("d_model"), config.integer("n_heads")
    norm, head_dim = Norm(eps=config.number("rms_norm_eps", 1e-5)), dim // heads
    mixer = Attention(
        heads=heads,
        kv_heads=config.integer("n_kv_heads", heads),
        head_dim=head_dim,
        mask=Full(),
        position=rope(config, head_dim),
        bias=config.flag("include_qkv_bias", False),
    )
    vocab = config.integer("vocab_size")
    return Arch(
        dim=dim,
        vocab=config.integer("embedding_size", vocab),
        layers=(Layer(mixer=mixer, ffn=MLP(hidden=config.integer("mlp_hidden_size")), norm=norm),) * config.integer("n_layers"),
        norm=norm,
        tied=config.flag("weight_tying", False),
        output=Denoised(mask=config.integer("mask_token_id", 126336)),
        context=config.integer("max_sequence_length"),
    )


def _expect_llama(config: Config) -> None:
    """Of what the code beside the checkpoints could do, they use this."""
    config.only("block_type", "llama")
    config.only("activation_type", "silu")
    config.only("layer_norm_type", "rms")
    config.only("rope", True)
    for name in ("alibi", "attention_layer_norm", "include_bias", "bias_for_layer_norm", "input_emb_norm", "scale_logits"):
        config.only(name, None, False)
    config.only("multi_query_attention", None)
    config.ignore(*_NOT_OURS)


# of training, of speed, or of parts that the checkpoints do not have
_NOT_OURS = (
    *("alibi_bias_max", "attention_dropout", "attention_layer_norm_with_affine", "block_group_size", "embedding_dropout"),
    *("flash_attention", "init_cutoff_factor", "init_device", "init_fn", "init_std", "layer_norm_with_affine", "mlp_ratio"),
    *("precision", "residual_dropout", "rope_full_precision"),
)

_B = "model.transformer.blocks.{i}."

WEIGHTS: Recipes = {
    "embed.weight": Copy("model.transformer.wte.weight"),
    "layers.{i}.norm1.weight": Copy(_B + "attn_norm.weight"),
    "layers.{i}.mixer.qkv.weight": cat(*(f"{_B}{p}_proj.weight" for p in "qkv")),
    "layers.{i}.mixer.qkv.bias": cat(*(f"{_B}{p}_proj.bias" for p in "qkv")),
    "layers.{i}.mixer.out.weight": Copy(_B + "attn_out.weight"),
    "layers.{i}.norm2.weight": Copy(_B + "ff_norm.weight"),
    "layers.{i}.ffn.up.weight": cat(_B + "ff_proj.weight", _B + "up_proj.weight"),
    "layers.{i}.ffn.down.weight": Copy(_B + "ff_out.weight"),
    "norm.weight": Copy("model.transformer.ln_f.weight"),
    "head.weight": First((Copy("model.transformer.ff_out.weight"), Copy("model.transformer.wte.weight"))),
}

TINY: dict[str, Any] = {
    "architectures": ["LLaDAModelLM"],
    "model_type": "llada",
    "d_model": 64,
    "n_heads": 4,
    "n_kv_heads": 2,
    "n_layers": 3,
    "mlp_hidden_size": 100,
    "vocab_size": 256,
    "embedding_size": 256,
    "max_sequence_length": 128,
    "rms_norm_eps": 1e-5,
    "rope": True,
    "rope_theta": 500000.0,
    "block_type": "llama",
    "activation_type": "silu",
    "layer_norm_type": "rms",
    "weight_tying": False,
    "mask_token_id": 255,
}
