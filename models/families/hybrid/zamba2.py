"""Zamba2 (Zyphra 2024, arXiv 2411.15242): layers of Mamba-2, beside some of which stands one of a few transformer blocks, taken in
turns. Its weights are shared, adapters make them each layer's own."""

from dataclasses import replace
from typing import Any

from models.families.recurrent import mamba, mamba2
from models.hf import Config, ConfigError, activation, rope
from models.recipes import Copy, First, Recipes, both, cat
from models.spec import MLP, Arch, Attention, Layer, Mamba2, Norm, SharedBlock

# widths that follow from others, pieces of a scan, and adapters that one may not do without
_NOT_OURS = (
    *("attention_head_dim", "attention_hidden_size", "chunk_size", "ffn_hidden_size", "kv_channels", "mamba_headdim", "head_dim"),
    *("hybrid_layer_ids", "num_logits_to_keep", "num_query_groups", "time_step_limit", "use_mamba_kernels", "use_mem_eff_path"),
)
KINDS = {"mamba": False, "linear_attention": False, "hybrid": True}
GATED_EPS = 1e-5


def arch(config: Config) -> Arch:
    config.ignore(*mamba.TRAINING, *_NOT_OURS)
    config.only("use_long_context", False)
    config.only("use_shared_mlp_adapter", True)
    config.only("use_conv_bias", True)
    config.assume(vocab_size=32_000, hidden_size=2560, max_position_embeddings=4096, tie_word_embeddings=True)
    norm = Norm(eps=config.number("rms_norm_eps", 1e-5))
    plain = Layer(mixer=_state(config), ffn=None, norm=norm)
    block, uses = _block(config, norm), _uses(config)
    return Arch(
        dim=config.integer("hidden_size"),
        vocab=config.integer("vocab_size"),
        layers=tuple(plain if owner is None else replace(plain, block=_of(block, i, owner)) for i, owner in enumerate(uses)),
        norm=norm,
        tied=config.flag("tie_word_embeddings"),
        context=config.integer("max_position_embeddings"),
    )


def _of(block: SharedBlock, number: int, owner: int) -> SharedBlock:
    return block if owner == number else replace(block, weights_of=owner)


def _uses(config: Config) -> list[int | None]:
    """For each layer the number of the one whose block it uses. Blocks are those of the first layers that have one."""
    kinds = config.items("layers_block_type", str) or config.items("layer_types", str) or ()
    if not kinds or set(kinds) - KINDS.keys():
        raise ConfigError(f"{config.where}: layers_block_type must say mamba or hybrid of each layer, not {list(kinds)}")
    config.only("num_hidden_layers", len(kinds))
    owners = [i for i, kind in enumerate(kinds) if KINDS[kind]][: config.integer("num_mem_blocks", 1)]
    turns = iter(range(len(kinds)))
    return [owners[next(turns) % len(owners)] if KINDS[kind] else None for kind in kinds]


def _state(config: Config) -> Mamba2:
    """transformers holds steps to `time_step_min` where it reads a prompt, and not where it writes: here they always are."""
    inner, heads = int(config.number("mamba_expand", 2) * config.integer("hidden_size")), config.integer("n_mamba_heads", 8)
    if inner % heads:
        raise ConfigError(f"{config.where}: n_mamba_heads = {heads} must divide {inner} channels")
    return Mamba2(
        heads=heads,
        head_dim=inner // heads,
        state=config.integer("mamba_d_state", 64),
        groups=config.integer("mamba_ngroups", 1),
        kernel=config.integer("mamba_d_conv", 4),
        bias=config.flag("add_bias_linear", False),
        norm=Norm(eps=GATED_EPS),
        least_step=config.number("time_step_min", 0.001),
    )


def _block(config: Config, norm: Norm) -> SharedBlock:
    dim, heads = config.integer("hidden_size"), config.integer("num_attention_heads", 32)
    head_dim = 2 * dim // heads
    attention = Attention(
        heads=heads,
        kv_heads=config.integer("num_key_value_heads", heads),
        head_dim=head_dim,
        position=rope(config, head_dim) if config.flag("use_mem_rope", False) else None,
        scale=(head_dim / 2) ** -0.5,
    )
    if not config.flag("use_mem_rope", False):
        config.ignore("rope_parameters", "rope_scaling", "rope_theta")
    return SharedBlock(
        attention=attention,
        ffn=MLP(
            hidden=config.integer("intermediate_size", 4 * dim),
            activation=activation(config, "hidden_act", "gelu"),
            bias=config.flag("add_bias_linear", False),
        ),
        rank=config.integer("adapter_rank", 128),
        adapts_attention=config.flag("use_shared_attention_adapter", False),
        norm=norm,
    )


_L, _B = "model.layers.{i}.", "layers.{i}.block."
_T = _L + "shared_transformer."


def _state_weights(theirs: str, ours: str = "layers.{i}.mixer.") -> Recipes:
    return {**mamba.state(theirs, ours), **mamba2.further(theirs, ours)}


_LAYERS: Recipes = {
    "embed.weight": Copy("model.embed_tokens.weight"),
    "layers.{i}.norm1.weight": First((Copy(_L + "input_layernorm.weight"), Copy(_L + "mamba_decoder.input_layernorm.weight"))),
    **_state_weights(_L + "mamba."),
    "layers.{i}.block_out.weight": Copy(_L + "linear.weight"),
    _B + "norm1.weight": Copy(_T + "input_layernorm.weight"),
    **{_B + f"mixer.{name}": cat(*(f"{_T}self_attn.{p}_proj.weight" for p in "qkv")) for name in ("qkv.weight", "qkv.shared.weight")},
    _B + "mixer.out.weight": Copy(_T + "self_attn.o_proj.weight"),
    _B + "norm2.weight": Copy(_T + "pre_ff_layernorm.weight"),
    **both(_B + "ffn.up.shared", _T + "feed_forward.gate_up_proj"),
    **both(_B + "ffn.down", _T + "feed_forward.down_proj"),
    "norm.weight": Copy("model.final_layernorm.weight"),
    "head.weight": Copy("lm_head.weight"),
}


def weights(config: Config) -> Recipes:
    """Adapters stand by their number among all uses of blocks, with the layer that has the block."""
    uses = [(i, owner) for i, owner in enumerate(_uses(config)) if owner is not None]
    recipes = dict(_LAYERS)
    for use, (i, owner) in enumerate(uses):
        recipes |= _state_weights(_L + "mamba_decoder.mamba.", f"layers.{i}.mixer.")
        recipes |= _adapters(f"layers.{i}.block.", f"model.layers.{owner}.shared_transformer.", use)
    return recipes


def _adapters(ours: str, theirs: str, use: int) -> Recipes:
    up, qkv = f"{theirs}feed_forward.gate_up_proj_adapter_list.{use}", [f"{theirs}self_attn.linear_{p}_adapter_list.{use}" for p in "qkv"]
    return {
        f"{ours}ffn.up.adapter.down.weight": Copy(f"{up}.0.weight"),
        f"{ours}ffn.up.adapter.up.0.weight": Copy(f"{up}.1.weight"),
        f"{ours}mixer.qkv.adapter.down.weight": cat(*(f"{name}.0.weight" for name in qkv)),
        **{f"{ours}mixer.qkv.adapter.up.{j}.weight": Copy(f"{name}.1.weight") for j, name in enumerate(qkv)},
    }


WEIGHTS = weights

TINY: dict[str, Any] = {
    "architectures": ["Zamba2ForCausalLM"],
    "model_type": "zamba2",
    "hidden_size": 48,
    "vocab_size": 256,
    "num_hidden_layers": 5,
    "layers_block_type": ["linear_attention", "hybrid", "hybrid", "linear_attention", "hybrid"],
    "num_mem_blocks": 2,
    "num_attention_heads": 4,
    "intermediate_size": 72,
    "max_position_embeddings": 128,
    "adapter_rank": 5,
    "use_shared_attention_adapter": True,
    "use_mem_rope": True,
    "mamba_d_state": 7,
    "mamba_d_conv": 3,
    "n_mamba_heads": 6,
    "mamba_ngroups": 2,
    "chunk_size": 8,
    "time_step_min": 0.3,
}
