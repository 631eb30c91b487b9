"""Nemotron-H and Nemotron 3 (NVIDIA 2025, arXiv 2504.03624, 2512.20848): each layer is one thing, Mamba-2, attention without
positions, an MLP without a gate, or experts without gates, which may lie between two matrices that narrow and widen rows."""

from collections.abc import Mapping
from typing import Any

from models.families.dense import llama
from models.families.recurrent import mamba, mamba2
from models.hf import Config, ConfigError, activation
from models.recipes import Copy, First, PerExpert, Recipes, both, cat
from models.spec import MLP, Arch, Attention, ExpertGroups, Layer, Mamba2, MoE, Norm, Sigmoid

# how the weights were drawn, in what order things are computed, what a cache is made of, and positions that attention does not have
_NOT_OURS = (
    *("chunk_size", "expand", "mamba_ssm_cache_dtype", "moe_shared_expert_overlap", "num_logits_to_keep", "use_mamba_kernels"),
    *("mtp_layers_block_type", "mtp_hybrid_override_pattern", "num_nextn_predict_layers"),
    *("partial_rotary_factor", "rope_theta", "output_router_logits"),
)

LETTERS = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}
NAMES = {"linear_attention": "mamba", "full_attention": "attention"} | {kind: kind for kind in LETTERS.values()}


def arch(config: Config) -> Arch:
    config.ignore(*mamba.TRAINING, *_NOT_OURS)
    config.assume(vocab_size=131_072, hidden_size=4096, max_position_embeddings=4096)
    norm, kinds = Norm(eps=config.number("layer_norm_epsilon", 1e-5)), _kinds(config)
    config.only("norm_eps", norm.eps)
    one_of_each = {kind: layer for kind, layer in _layers(config, norm).items() if kind in kinds}
    if config.flag("mlp_bias", False) and "moe" in kinds:
        raise ConfigError(f"{config.where}: mlp_bias = True is not supported beside experts")
    return Arch(
        dim=config.integer("hidden_size"),
        vocab=config.integer("vocab_size"),
        layers=tuple(one_of_each[kind] for kind in kinds),
        norm=norm,
        tied=config.flag("tie_word_embeddings", False),
        context=config.integer("max_position_embeddings"),
    )


def _kinds(config: Config) -> list[str]:
    pattern = config.text("hybrid_override_pattern", "")
    named = config.items("layers_block_type", str) or config.items("layer_types", str) or tuple(LETTERS.get(c, c) for c in pattern)
    if not named or set(named) - NAMES.keys():
        raise ConfigError(f"{config.where}: layers_block_type must say {', '.join(LETTERS.values())} of each layer, not {list(named)}")
    config.only("num_hidden_layers", len(named))
    return [NAMES[name] for name in named]


def _layers(config: Config, norm: Norm) -> Mapping[str, Layer]:
    return {
        "mamba": Layer(mixer=_state(config, norm), ffn=None, norm=norm),
        "attention": Layer(mixer=_attention(config), ffn=None, norm=norm),
        "mlp": Layer(mixer=None, ffn=_mlp(config), norm=norm),
        "moe": Layer(mixer=None, ffn=_experts(config), norm=norm),
    }


def _attention(config: Config) -> Attention:
    config.only("attention_bias", False)
    config.only("sliding_window", None)
    heads, head_dim = config.integer("num_attention_heads", 32), config.integer("head_dim", config.integer("attention_head_dim", 128))
    return Attention(heads=heads, kv_heads=config.integer("num_key_value_heads", 8), head_dim=head_dim)


def _state(config: Config, norm: Norm) -> Mamba2:
    """transformers holds steps to `time_step_min` where it reads a prompt, and not where it writes: here they always are."""
    config.only("mamba_hidden_act", "silu")
    config.only("mamba_proj_bias", False)
    config.ignore("time_step_limit")
    return Mamba2(
        heads=config.integer("mamba_num_heads", 128),
        head_dim=config.integer("mamba_head_dim", 64),
        state=config.integer("ssm_state_size", 128),
        groups=config.integer("n_groups", 8),
        kernel=config.integer("conv_kernel", 4),
        conv_bias=config.flag("use_conv_bias", True),
        bias=config.flag("use_bias", False),
        norm=norm,
        least_step=config.number("time_step_min", 0.001),
    )


def _mlp(config: Config) -> MLP:
    act = activation(config, "mlp_hidden_act", "relu2")
    return MLP(hidden=config.integer("intermediate_size", 21_504), activation=act, gated=False, bias=config.flag("mlp_bias", False))


def _experts(config: Config) -> MoE:
    config.only("n_shared_experts", 1)
    groups, renormalise = config.integer("n_group", 1), config.flag("norm_topk_prob", True)
    chosen = ExpertGroups(count=groups, active=config.integer("topk_group", 1), score="top2")
    scale = config.number("routed_scaling_factor", 1.0)
    return MoE(
        experts=config.integer("n_routed_experts", 8),
        active=config.integer("num_experts_per_tok", 2),
        hidden=config.integer("moe_intermediate_size", 7688),
        router=Sigmoid(renormalise=renormalise, groups=chosen if groups > 1 else None, scale=scale),
        activation=activation(config, "mlp_hidden_act", "relu2"),
        gated=False,
        shared=config.integer("moe_shared_expert_intermediate_size", 7688),
        latent=config.optional_integer("moe_latent_size"),
    )


_L = "backbone.layers.{i}."
_M = _L + "mixer."

WEIGHTS: Recipes = {
    **mamba.FRAME,
    **mamba2.further(_M),
    "layers.{i}.mixer.qkv.weight": cat(*(_M + f"{p}_proj.weight" for p in "qkv")),
    "layers.{i}.mixer.out.weight": First((Copy(_M + "out_proj.weight"), Copy(_M + "o_proj.weight"))),
    "layers.{i}.norm2.weight": Copy(_L + "norm.weight"),
    **both("layers.{i}.ffn.up", _M + "up_proj"),
    **both("layers.{i}.ffn.down", _M + "down_proj"),
    "layers.{i}.ffn.router.weight": Copy(_M + "gate.weight"),
    "layers.{i}.ffn.correction": Copy(_M + "gate.e_score_correction_bias"),
    "layers.{i}.ffn.narrow.weight": Copy(_M + "fc1_latent_proj.weight"),
    "layers.{i}.ffn.widen.weight": Copy(_M + "fc2_latent_proj.weight"),
    "layers.{i}.ffn.experts.up": PerExpert(Copy(_M + "experts.{e}.up_proj.weight")),
    "layers.{i}.ffn.experts.down": PerExpert(Copy(_M + "experts.{e}.down_proj.weight")),
    "layers.{i}.ffn.shared.up.weight": Copy(_M + "shared_experts.up_proj.weight"),
    "layers.{i}.ffn.shared.down.weight": Copy(_M + "shared_experts.down_proj.weight"),
}

_B = "blk.{i}."

GGUF: Recipes = {
    **llama.GGUF_PLAIN,
    **mamba2.GGUF_STATE,
    "layers.{i}.norm2.weight": Copy(_B + "attn_norm.weight"),
    **both("layers.{i}.ffn.up", _B + "ffn_up"),
    "layers.{i}.ffn.router.weight": Copy(_B + "ffn_gate_inp.weight"),
    "layers.{i}.ffn.correction": Copy(_B + "exp_probs_b.bias"),
    "layers.{i}.ffn.narrow.weight": Copy(_B + "ffn_latent_down.weight"),
    "layers.{i}.ffn.widen.weight": Copy(_B + "ffn_latent_up.weight"),
    "layers.{i}.ffn.experts.up": Copy(_B + "ffn_up_exps.weight"),
    "layers.{i}.ffn.experts.down": Copy(_B + "ffn_down_exps.weight"),
    "layers.{i}.ffn.shared.up.weight": Copy(_B + "ffn_up_shexp.weight"),
    "layers.{i}.ffn.shared.down.weight": Copy(_B + "ffn_down_shexp.weight"),
}

TINY: dict[str, Any] = {
    "architectures": ["NemotronHForCausalLM"],
    "model_type": "nemotron_h",
    "hidden_size": 48,
    "vocab_size": 256,
    "hybrid_override_pattern": "ME*EM-",
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 10,
    "max_position_embeddings": 128,
    "intermediate_size": 72,
    "ssm_state_size": 7,
    "mamba_num_heads": 6,
    "mamba_head_dim": 10,
    "n_groups": 2,
    "conv_kernel": 3,
    "chunk_size": 8,
    "time_step_min": 0.3,
    "n_routed_experts": 6,
    "num_experts_per_tok": 2,
    "n_group": 3,
    "topk_group": 2,
    "routed_scaling_factor": 2.5,
    "moe_intermediate_size": 40,
    "moe_shared_expert_intermediate_size": 56,
    "moe_latent_size": 20,
}
