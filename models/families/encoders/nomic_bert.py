"""NomicBERT (arXiv 2402.01613): BERT with rotary positions, a gated feed-forward part and no biases. Older configurations have
GPT-2's keys."""

from typing import Any

from models.families.encoders import bert
from models.hf import Config, activation, rope
from models.recipes import Copy, Recipes, both, cat
from models.spec import MLP, Arch, Attention, Dense, Full, Layer, Norm

PREFIX = "nomic_bert."
UNUSED = r"(cls|pooler|classifier)\..*"


def arch(config: Config) -> Arch:
    _older(config)
    dim, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    head_dim = config.integer("head_dim", dim // heads)
    norm = Norm(kind="layer", eps=config.number("layer_norm_eps"))
    mixer = Attention(heads=heads, kv_heads=heads, head_dim=head_dim, mask=Full(), position=rope(config, head_dim))
    ffn = MLP(hidden=config.integer("intermediate_size"), activation=activation(config, "hidden_act", "silu"))
    return Arch(
        dim=dim,
        vocab=config.integer("vocab_size"),
        layers=(Layer(mixer=mixer, ffn=ffn, norm=norm, placement="post"),) * config.integer("num_hidden_layers"),
        norm=None,
        embed_norm=norm,
        segments=config.integer("type_vocab_size", 2),
        output=bert.output(config, Dense(width=dim, activation="tanh")),
        context=config.integer("max_position_embeddings"),
    )


def _older(config: Config) -> None:
    """Keys of the older layout as those of the newer one."""
    for key, value in _ONLY.items():
        config.only(key, value)
    config.ignore(*_NOT_OURS)
    names = {"hidden_size": "n_embd", "num_attention_heads": "n_head", "num_hidden_layers": "n_layer", "intermediate_size": "n_inner"}
    config.assume(**{ours: config.optional_integer(theirs) for ours, theirs in names.items()})
    config.assume(
        layer_norm_eps=config.number("layer_norm_epsilon", 1e-12),
        rope_theta=config.number("rotary_emb_base", 1000.0),
        max_position_embeddings=config.integer("max_trained_positions", config.integer("n_positions", 2048)),
    )


_ONLY: dict[str, Any] = {
    "activation_function": "swiglu",
    "causal": False,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "parallel_block": False,
    "prenorm": False,
    "qkv_proj_bias": False,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "rotary_scaling_factor": None,
    "scale_attn_by_inverse_layer_idx": False,
    "scale_attn_weights": True,
    "use_rms_norm": False,
}

# of training, or of how others compute it
_NOT_OURS = (
    *("attn_pdrop", "dense_seq_output", "fused_bias_fc", "fused_dropout_add_ln", "pad_vocab_size_multiple", "parallel_block_tied_norm"),
    *("reorder_and_upcast_attn", "use_flash_attn", "use_xentropy", "tie_word_embeddings"),
    *("summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj"),
)

_L, _T = "layers.{i}.", "encoder.layers.{i}."

WEIGHTS: Recipes = {
    "embed.weight": Copy("embeddings.word_embeddings.weight"),
    "segments.weight": Copy("embeddings.token_type_embeddings.weight"),
    **both("embed_norm", "emb_ln"),
    _L + "mixer.qkv.weight": Copy(_T + "attn.Wqkv.weight"),
    _L + "mixer.out.weight": Copy(_T + "attn.out_proj.weight"),
    **both(_L + "norm1", _T + "norm1"),
    _L + "ffn.up.weight": cat(_T + "mlp.fc12.weight", _T + "mlp.fc11.weight"),
    _L + "ffn.down.weight": Copy(_T + "mlp.fc2.weight"),
    **both(_L + "norm2", _T + "norm2"),
}

HEAD = bert.HEAD

TINY: dict[str, Any] = {
    "architectures": ["NomicBertModel"],
    "model_type": "nomic_bert",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "vocab_size": 256,
    "max_position_embeddings": 128,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-5,
}
