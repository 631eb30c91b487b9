"""Kimi Linear (Moonshot AI 2025, arXiv 2510.26692): delta attention whose channels each decay by themselves, in every fourth layer
DeepSeek-V3's latent attention without positions, and its experts."""

from dataclasses import replace
from typing import Any

from models.families.changes import mixer, where
from models.families.experts.mixtral import gate_up
from models.families.latent import deepseek_v2, deepseek_v3
from models.families.linear import qwen3_next
from models.hf import Config, ConfigError
from models.recipes import Cat, Copy, First, Flatten, NegExp, PerExpert, Recipes, Taps, cat
from models.spec import Arch, ChannelDecay, DeltaRule, LinearAttention, Norm, OutputGate


def arch(config: Config) -> Arch:
    config.only("moe_router_activation_func", "sigmoid")
    config.only("mla_use_nope", True)
    config.only("moe_layer_freq", 1)
    config.ignore("use_grouped_topk", "num_nextn_predict_layers", "rope_theta")
    config.assume(rms_norm_eps=1e-5, max_position_embeddings=config.integer("model_max_length", 1 << 20))
    older = config.part("linear_attn_config") or Config({})
    base = deepseek_v2.decoder(config)
    net, kinds = _delta_attention(config, older, base.layers[0].norm), _linear(config, older, len(base.layers))
    nets = where(base, kinds, lambda layer: replace(layer, mixer=net))
    without = where(nets, [not is_net for is_net in kinds], lambda layer: mixer(layer, position=None))
    return _sparse(without, config)


def _delta_attention(config: Config, older: Config, norm: Norm) -> LinearAttention:
    heads, k = (older.integer(key, config.integer(f"linear_{key}", usual)) for key, usual in (("num_heads", 32), ("head_dim", 128)))
    return LinearAttention(
        heads=heads,
        key_heads=heads,
        key_dim=k,
        value_dim=k,
        decay=ChannelDecay(rank=k),
        delta=DeltaRule(),
        kernel=older.integer("short_conv_kernel_size", config.integer("linear_conv_kernel_dim", 4)),
        norm=norm,
        gate=OutputGate(activation="sigmoid", rank=k),
    )


def _linear(config: Config, older: Config, count: int) -> list[bool]:
    """Which layers have it; published files count them from 1."""
    attends, nets = older.integers("full_attn_layers"), older.integers("kda_layers")
    if attends is None or nets is None:
        config.assume(layer_types=["full_attention" if i and i % 4 == 0 else "linear_attention" for i in range(count)])
        return list(qwen3_next.linear(config, count))
    if sorted((*attends, *nets)) != list(range(1, count + 1)):
        raise ConfigError(f"{config.where}: full_attn_layers and kda_layers must name each of {count} layers once")
    return [i + 1 in nets for i in range(count)]


def _sparse(base: Arch, config: Config) -> Arch:
    """DeepSeek-V3's, under names of their own."""
    older = {"num_expert_group": "n_group", "moe_renormalize": "norm_topk_prob", "num_experts": "n_routed_experts"}
    older |= {"num_experts_per_token": "num_experts_per_tok", "num_shared_experts": "n_shared_experts"}
    usual = {"n_group": 1, "topk_group": 1, "n_shared_experts": 1, "routed_scaling_factor": 2.446, "first_k_dense_replace": 1}
    config.assume(**usual | {name: value for key, name in older.items() if (value := config.anything(key)) is not None})
    types = config.items("mlp_layer_types", str) or ()
    if types:
        dense = types.index("sparse") if "sparse" in types else len(types)
        if types != ("dense",) * dense + ("sparse",) * (len(base.layers) - dense):
            raise ConfigError(f"{config.where}: mlp_layer_types must say dense for the first layers and sparse for the others")
        config.values["first_k_dense_replace"] = dense
    return deepseek_v2.sparse(base, config, deepseek_v3.router(config))


_A, _M = "model.layers.{i}.self_attn.", "model.layers.{i}.block_sparse_moe."
_DENSE = ("model.layers.{i}.mlp.", _M)  # as its makers publish it, and as transformers writes it

WEIGHTS: Recipes = {
    **deepseek_v3.WEIGHTS,
    "layers.{i}.mixer.q.weight": First((Copy(_A + "q_b_proj.weight"), Copy(_A + "q_proj.weight"))),
    "layers.{i}.mixer.kv_down.weight": Copy(_A + "kv_a_proj_with_mqa.weight"),
    "layers.{i}.mixer.kv_down.bias": Copy(_A + "kv_a_proj_with_mqa.bias"),
    "layers.{i}.mixer.into.weight": cat(*(_A + f"{part}_proj.weight" for part in ("q", "k", "v", "g_a", "b", "f_a"))),
    "layers.{i}.mixer.conv.weight": Cat(tuple(Taps(Copy(_A + f"{part}_conv1d.weight")) for part in "qkv")),
    "layers.{i}.mixer.decay.rate": NegExp(Flatten(Flatten(Flatten(Copy(_A + "A_log"))))),
    "layers.{i}.mixer.decay.bias": Copy(_A + "dt_bias"),
    "layers.{i}.mixer.decay.up.weight": Copy(_A + "f_b_proj.weight"),
    "layers.{i}.mixer.gate.up.weight": Copy(_A + "g_b_proj.weight"),
    "layers.{i}.mixer.norm.weight": Copy(_A + "o_norm.weight"),
    "layers.{i}.ffn.up.weight": First(tuple(cat(where + "gate_proj.weight", where + "up_proj.weight") for where in _DENSE)),
    "layers.{i}.ffn.down.weight": First(tuple(Copy(where + "down_proj.weight") for where in _DENSE)),
    "layers.{i}.ffn.router.weight": Copy(_M + "gate.weight"),
    "layers.{i}.ffn.correction": Copy(_M + "gate.e_score_correction_bias"),
    "layers.{i}.ffn.experts.up": gate_up(_M + "experts.{e}.w1.weight", _M + "experts.{e}.w3.weight"),
    "layers.{i}.ffn.experts.down": PerExpert(Copy(_M + "experts.{e}.w2.weight")),
    "layers.{i}.ffn.shared.up.weight": cat(_M + "shared_experts.gate_proj.weight", _M + "shared_experts.up_proj.weight"),
    "layers.{i}.ffn.shared.down.weight": Copy(_M + "shared_experts.down_proj.weight"),
}

_B = "blk.{i}."
_INTO = ("attn_q", "attn_k", "attn_v", "ssm_g_a", "ssm_beta", "ssm_f_a")

GGUF: Recipes = {
    **deepseek_v2.GGUF_PLAIN,
    "layers.{i}.mixer.into.weight": cat(
        *(f"{_B}{part}.weight" for part in ("attn_q", "attn_k", "attn_v", "ssm_g_a", "ssm_beta", "ssm_f_a"))
    ),
    "layers.{i}.mixer.conv.weight": Cat(tuple(Taps(Flatten(Copy(f"{_B}ssm_conv1d_{part}.weight"))) for part in "qkv")),
    "layers.{i}.mixer.decay.rate": Flatten(Flatten(Flatten(Copy(_B + "ssm_a")))),
    "layers.{i}.mixer.decay.bias": Copy(_B + "ssm_dt.bias"),
    "layers.{i}.mixer.decay.up.weight": Copy(_B + "ssm_f_b.weight"),
    "layers.{i}.mixer.gate.up.weight": Copy(_B + "ssm_g_b.weight"),
    "layers.{i}.mixer.norm.weight": Copy(_B + "ssm_norm.weight"),
    "layers.{i}.ffn.correction": Copy(_B + "exp_probs_b.bias"),
}

TINY: dict[str, Any] = {
    "architectures": ["KimiLinearForCausalLM"],
    "model_type": "kimi_linear",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "kv_lora_rank": 36,
    "qk_nope_head_dim": 20,
    "qk_rope_head_dim": 12,
    "v_head_dim": 24,
    "linear_num_heads": 3,
    "linear_head_dim": 14,
    "linear_conv_kernel_dim": 4,
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
    "num_experts": 6,
    "num_experts_per_token": 2,
    "moe_intermediate_size": 40,
    "num_expert_group": 3,
    "topk_group": 2,
    "vocab_size": 256,
    "model_max_length": 128,
    "pad_token_id": None,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
