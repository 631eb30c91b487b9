"""GPT-2 (Radford et al. 2019): pre-norm LayerNorm with biases everywhere, learned positions, tied head. Its matrices lie
on disk as [inputs, outputs]."""

from typing import Any

from models.hf import Config, activation
from models.recipes import Copy, Recipes, Transpose, both
from models.spec import MLP, Arch, Attention, Layer, Learned, Norm


def arch(config: Config) -> Arch:
    config.assume(n_positions=1024, n_embd=768, n_layer=12, n_head=12, vocab_size=50257)
    config.only("add_cross_attention", False)
    config.ignore(*_NOT_OURS)
    dim, heads, positions = config.integer("n_embd"), config.integer("n_head"), config.integer("n_positions")
    norm = Norm(kind="layer", eps=config.number("layer_norm_epsilon", 1e-5))
    ffn = MLP(
        hidden=config.integer("n_inner", 4 * dim), activation=activation(config, "activation_function", "gelu_new"), gated=False, bias=True
    )
    scales = _scales(config, config.integer("n_layer"), dim // heads)
    return Arch(
        dim=dim,
        vocab=config.integer("vocab_size"),
        layers=tuple(Layer(mixer=mixer(heads, dim // heads, scale), ffn=ffn, norm=norm) for scale in scales),
        norm=norm,
        tied=config.flag("tie_word_embeddings", True),
        position=Learned(count=positions),
        context=positions,
    )


def mixer(heads: int, head_dim: int, scale: float | None = None) -> Attention:
    """As many keys as queries, all projections biased."""
    return Attention(heads=heads, kv_heads=heads, head_dim=head_dim, bias=True, out_bias=True, scale=scale)


def _scales(config: Config, layers: int, head_dim: int) -> list[float]:
    """Of the scores, for each layer."""
    scale = head_dim**-0.5 if config.flag("scale_attn_weights", True) else 1.0
    by_depth = config.flag("scale_attn_by_inverse_layer_idx", False)
    return [scale / (i + 1) if by_depth else scale for i in range(layers)]


# how a head for classification sums up, how training drops out, and in which precision PyTorch multiplied
_NOT_OURS = (
    "summary_type",
    "summary_use_proj",
    "summary_activation",
    "summary_proj_to_labels",
    "summary_first_dropout",
    "attn_pdrop",
    "n_ctx",
    "reorder_and_upcast_attn",
)

_L = "transformer.h.{i}."

WEIGHTS: Recipes = {
    "embed.weight": Copy("transformer.wte.weight"),
    "positions.weight": Copy("transformer.wpe.weight"),
    **both("layers.{i}.norm1", _L + "ln_1"),
    "layers.{i}.mixer.qkv.weight": Transpose(Copy(_L + "attn.c_attn.weight")),
    "layers.{i}.mixer.qkv.bias": Copy(_L + "attn.c_attn.bias"),
    "layers.{i}.mixer.out.weight": Transpose(Copy(_L + "attn.c_proj.weight")),
    "layers.{i}.mixer.out.bias": Copy(_L + "attn.c_proj.bias"),
    **both("layers.{i}.norm2", _L + "ln_2"),
    "layers.{i}.ffn.up.weight": Transpose(Copy(_L + "mlp.c_fc.weight")),
    "layers.{i}.ffn.up.bias": Copy(_L + "mlp.c_fc.bias"),
    "layers.{i}.ffn.down.weight": Transpose(Copy(_L + "mlp.c_proj.weight")),
    "layers.{i}.ffn.down.bias": Copy(_L + "mlp.c_proj.bias"),
    **both("norm", "transformer.ln_f"),
    "head.weight": Copy("lm_head.weight"),
}

GGUF: Recipes = {
    "embed.weight": Copy("token_embd.weight"),
    "positions.weight": Copy("position_embd.weight"),
    **both("layers.{i}.norm1", "blk.{i}.attn_norm"),
    **both("layers.{i}.mixer.qkv", "blk.{i}.attn_qkv"),
    **both("layers.{i}.mixer.out", "blk.{i}.attn_output"),
    **both("layers.{i}.norm2", "blk.{i}.ffn_norm"),
    **both("layers.{i}.ffn.up", "blk.{i}.ffn_up"),
    **both("layers.{i}.ffn.down", "blk.{i}.ffn_down"),
    **both("norm", "output_norm"),
    "head.weight": Copy("output.weight"),
}

TINY: dict[str, Any] = {
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "n_embd": 60,
    "n_layer": 3,
    "n_head": 3,
    "n_inner": 100,
    "n_positions": 128,
    "vocab_size": 256,
    "scale_attn_by_inverse_layer_idx": True,
}
