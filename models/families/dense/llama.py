"""Llama 2 and 3 (arXiv 2302.13971, 2407.21783) and what is built like them: SmolLM2, TinyLlama, Yi ..."""

from typing import Any

from models.hf import Config, rope
from models.recipes import Cat, Copy, Permute, Recipes, cat
from models.spec import MLP, Arch, Attention, Layer, Norm, Rope, Yarn


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.only("rope_interleaved", False)
    bias = config.flag("attention_bias", False)
    return decoder(config, bias=bias, out_bias=bias, mlp_bias=config.flag("mlp_bias", False))


def decoder(config: Config, *, bias: bool = False, out_bias: bool = False, mlp_bias: bool = False) -> Arch:
    """All layers alike, pre-norm, RoPE, gated SiLU: the base of every family here."""
    dim, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    head_dim = config.integer("head_dim", dim // heads)
    norm, position = Norm(eps=config.number("rms_norm_eps", 1e-6)), rope(config, head_dim)
    kv_heads = config.integer("num_key_value_heads", heads)
    mixer = Attention(heads=heads, kv_heads=kv_heads, head_dim=head_dim, position=position, bias=bias, out_bias=out_bias)
    layer = Layer(mixer=mixer, ffn=MLP(hidden=config.integer("intermediate_size"), bias=mlp_bias), norm=norm)
    return Arch(
        dim=dim,
        vocab=config.integer("vocab_size"),
        layers=(layer,) * config.integer("num_hidden_layers"),
        norm=norm,
        tied=config.flag("tie_word_embeddings", False),
        context=context(config, position),
    )


def context(config: Config, position: Rope) -> int:
    """Published YaRN configurations often leave max_position_embeddings at the length before scaling."""
    stated = config.integer("max_position_embeddings")
    match position.scaling:
        case Yarn(factor=factor, original=original):
            return max(stated, int(factor * original))
        case _:
            return stated


_L = "model.layers.{i}."

WEIGHTS: Recipes = {
    "embed.weight": Copy("model.embed_tokens.weight"),
    "layers.{i}.norm1.weight": Copy(_L + "input_layernorm.weight"),
    "layers.{i}.mixer.qkv.weight": cat(*(_L + f"self_attn.{p}_proj.weight" for p in "qkv")),
    "layers.{i}.mixer.qkv.bias": cat(*(_L + f"self_attn.{p}_proj.bias" for p in "qkv")),
    "layers.{i}.mixer.out.weight": Copy(_L + "self_attn.o_proj.weight"),
    "layers.{i}.mixer.out.bias": Copy(_L + "self_attn.o_proj.bias"),
    "layers.{i}.norm2.weight": Copy(_L + "post_attention_layernorm.weight"),
    "layers.{i}.ffn.up.weight": cat(_L + "mlp.gate_proj.weight", _L + "mlp.up_proj.weight"),
    "layers.{i}.ffn.up.bias": cat(_L + "mlp.gate_proj.bias", _L + "mlp.up_proj.bias"),
    "layers.{i}.ffn.down.weight": Copy(_L + "mlp.down_proj.weight"),
    "layers.{i}.ffn.down.bias": Copy(_L + "mlp.down_proj.bias"),
    "norm.weight": Copy("model.norm.weight"),
    "head.weight": Copy("lm_head.weight"),
}


def paired(field: str) -> Cat:
    """q, k and v where the first two rotate neighbours."""
    q, k, v = (Copy(f"{_L}self_attn.{p}_proj.{field}") for p in "qkv")
    return Cat((Permute(q), Permute(k), v))


_B = "blk.{i}."

# as GGUF files of most families are; llama's alone keep the rotary pairs of q and k side by side
GGUF_PLAIN: Recipes = {
    "embed.weight": Copy("token_embd.weight"),
    "layers.{i}.norm1.weight": Copy(_B + "attn_norm.weight"),
    "layers.{i}.mixer.qkv.weight": cat(*(_B + f"attn_{p}.weight" for p in "qkv")),
    "layers.{i}.mixer.qkv.bias": cat(*(_B + f"attn_{p}.bias" for p in "qkv")),
    "layers.{i}.mixer.out.weight": Copy(_B + "attn_output.weight"),
    "layers.{i}.mixer.out.bias": Copy(_B + "attn_output.bias"),
    "layers.{i}.norm2.weight": Copy(_B + "ffn_norm.weight"),
    "layers.{i}.ffn.up.weight": cat(_B + "ffn_gate.weight", _B + "ffn_up.weight"),
    "layers.{i}.ffn.up.bias": cat(_B + "ffn_gate.bias", _B + "ffn_up.bias"),
    "layers.{i}.ffn.down.weight": Copy(_B + "ffn_down.weight"),
    "layers.{i}.ffn.down.bias": Copy(_B + "ffn_down.bias"),
    "norm.weight": Copy("output_norm.weight"),
    "head.weight": Copy("output.weight"),
}


def _paired(field: str) -> Cat:
    q, k, v = (Copy(_B + f"attn_{p}.{field}") for p in "qkv")
    return Cat((Permute(q), Permute(k), v))


GGUF: Recipes = {
    **GGUF_PLAIN,
    "layers.{i}.mixer.qkv.weight": _paired("weight"),
    "layers.{i}.mixer.qkv.bias": _paired("bias"),
}

# of a mixture of experts, stacked
GGUF_EXPERTS: Recipes = {
    "layers.{i}.ffn.router.weight": Copy(_B + "ffn_gate_inp.weight"),
    "layers.{i}.ffn.experts.up": cat(_B + "ffn_gate_exps.weight", _B + "ffn_up_exps.weight"),
    "layers.{i}.ffn.experts.down": Copy(_B + "ffn_down_exps.weight"),
    "layers.{i}.ffn.shared.up.weight": cat(_B + "ffn_gate_shexp.weight", _B + "ffn_up_shexp.weight"),
    "layers.{i}.ffn.shared.down.weight": Copy(_B + "ffn_down_shexp.weight"),
}

TINY: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 256,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
}
