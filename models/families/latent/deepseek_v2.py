"""DeepSeek-V2 (arXiv 2405.04434): latent attention, and from some layer on many narrow experts beside shared ones."""

from dataclasses import replace
from math import log
from typing import Any

from models.families.changes import where
from models.families.dense import llama
from models.families.experts import qwen2_moe
from models.families.experts.mixtral import TRAINING
from models.hf import Config, rope
from models.recipes import Copy, First, HeadRows, Permute, Recipes, Transpose, cat
from models.spec import MLP, Arch, ExpertGroups, LatentAttention, Layer, MoE, Norm, Rope, Router, Softmax


def arch(config: Config) -> Arch:
    config.only("moe_layer_freq", 1)
    config.only("scoring_func", "softmax")
    return sparse(decoder(config), config, _router(config))


def decoder(config: Config) -> Arch:
    """All layers dense."""
    config.only("hidden_act", "silu")
    config.only("ep_size", 1)
    config.ignore(*TRAINING, "aux_loss_alpha", "seq_aux", "head_dim", "qk_head_dim", "num_key_value_heads")
    norm = Norm(eps=config.number("rms_norm_eps", 1e-6))
    position = rope(config, config.integer("qk_rope_head_dim", 64))
    ffn = MLP(hidden=config.integer("intermediate_size"), bias=config.flag("mlp_bias", False))
    return Arch(
        dim=config.integer("hidden_size"),
        vocab=config.integer("vocab_size"),
        layers=(Layer(mixer=_mixer(config, position), ffn=ffn, norm=norm),) * config.integer("num_hidden_layers"),
        norm=norm,
        tied=config.flag("tie_word_embeddings", False),
        context=llama.context(config, position),
    )


def _mixer(config: Config, position: Rope) -> LatentAttention:
    """The latents' norms have an epsilon of their own, which no file states."""
    nope, rotated, bias = config.integer("qk_nope_head_dim", 128), position.dim, config.flag("attention_bias", False)
    return LatentAttention(
        heads=config.integer("num_attention_heads"),
        kv_rank=config.integer("kv_lora_rank", 512),
        rope_dim=rotated,
        nope_dim=nope,
        value_dim=config.integer("v_head_dim", 128),
        q_rank=config.optional_integer("q_lora_rank"),
        position=position,
        bias=bias,
        out_bias=bias,
        scale=(nope + rotated) ** -0.5 * _mscale(config) ** 2,
    )


def _mscale(config: Config) -> float:
    """YaRN's second correction: the scores are multiplied by the square of 0.1 * mscale_all_dim * ln(factor) + 1."""
    part = config.part("rope_parameters") or config.part("rope_scaling") or Config({})
    over, factor = part.number("mscale_all_dim", 0.0), part.number("factor", 1.0)
    return 0.1 * over * log(factor) + 1 if over and factor > 1 else 1.0


def sparse(base: Arch, config: Config, router: Router) -> Arch:
    hidden = config.integer("moe_intermediate_size")
    moe = MoE(
        experts=config.integer("n_routed_experts"),
        active=config.integer("num_experts_per_tok"),
        hidden=hidden,
        router=router,
        shared=hidden * config.integer("n_shared_experts", 0),
    )
    dense = config.integer("first_k_dense_replace", 0)
    return where(base, [i >= dense for i in range(len(base.layers))], lambda layer: replace(layer, ffn=moe))


def _router(config: Config) -> Router:
    config.only("topk_method", "greedy", "group_limited_greedy")
    config.only("norm_topk_prob", False)
    count, active = config.optional_integer("n_group"), config.optional_integer("topk_group")
    grouped = config.text("topk_method", "greedy") == "group_limited_greedy" and count and active
    groups = ExpertGroups(count=count, active=active) if grouped and count and active else None
    return Softmax(groups=groups, scale=config.number("routed_scaling_factor", 1.0))


_A, _M = "model.layers.{i}.self_attn.", "model.layers.{i}.mlp."

ATTENTION: Recipes = {
    "layers.{i}.mixer.q_down.weight": Copy(_A + "q_a_proj.weight"),
    "layers.{i}.mixer.q_down.bias": Copy(_A + "q_a_proj.bias"),
    "layers.{i}.mixer.q_norm.weight": Copy(_A + "q_a_layernorm.weight"),
    "layers.{i}.mixer.kv_norm.weight": Copy(_A + "kv_a_layernorm.weight"),
    "layers.{i}.mixer.k_up.weight": HeadRows(Copy(_A + "kv_b_proj.weight"), "keys"),
    "layers.{i}.mixer.v_up.weight": HeadRows(Copy(_A + "kv_b_proj.weight"), "values"),
}

# where neighbours are rotated
PAIRED: Recipes = {
    "layers.{i}.mixer.q.weight": Permute(First((Copy(_A + "q_b_proj.weight"), Copy(_A + "q_proj.weight")))),
    "layers.{i}.mixer.kv_down.weight": Permute(Copy(_A + "kv_a_proj_with_mqa.weight")),
    "layers.{i}.mixer.kv_down.bias": Permute(Copy(_A + "kv_a_proj_with_mqa.bias")),
}

WEIGHTS: Recipes = {
    **llama.WEIGHTS,
    **ATTENTION,
    **PAIRED,
    **qwen2_moe.EXPERTS,
    "layers.{i}.ffn.shared.up.weight": cat(_M + "shared_experts.gate_proj.weight", _M + "shared_experts.up_proj.weight"),
    "layers.{i}.ffn.shared.down.weight": Copy(_M + "shared_experts.down_proj.weight"),
}

_B = "blk.{i}."

# keys of the latents lie [H, R, N] where they lie apart from the values
GGUF_PLAIN: Recipes = {
    **llama.GGUF_PLAIN,
    **llama.GGUF_EXPERTS,
    "layers.{i}.mixer.q_down.weight": Copy(_B + "attn_q_a.weight"),
    "layers.{i}.mixer.q_norm.weight": Copy(_B + "attn_q_a_norm.weight"),
    "layers.{i}.mixer.q.weight": First((Copy(_B + "attn_q_b.weight"), Copy(_B + "attn_q.weight"))),
    "layers.{i}.mixer.kv_down.weight": Copy(_B + "attn_kv_a_mqa.weight"),
    "layers.{i}.mixer.kv_norm.weight": Copy(_B + "attn_kv_a_norm.weight"),
    "layers.{i}.mixer.k_up.weight": First((Transpose(Copy(_B + "attn_k_b.weight")), HeadRows(Copy(_B + "attn_kv_b.weight"), "keys"))),
    "layers.{i}.mixer.v_up.weight": First((Copy(_B + "attn_v_b.weight"), HeadRows(Copy(_B + "attn_kv_b.weight"), "values"))),
}

GGUF: Recipes = {
    **GGUF_PLAIN,
    "layers.{i}.mixer.q.weight": Permute(GGUF_PLAIN["layers.{i}.mixer.q.weight"]),
    "layers.{i}.mixer.kv_down.weight": Permute(GGUF_PLAIN["layers.{i}.mixer.kv_down.weight"]),
}

TINY: dict[str, Any] = {
    "architectures": ["DeepseekV2ForCausalLM"],
    "model_type": "deepseek_v2",
    "hidden_size": 64,
    "intermediate_size": 96,
    "moe_intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "q_lora_rank": 28,
    "kv_lora_rank": 36,
    "qk_nope_head_dim": 20,
    "qk_rope_head_dim": 12,
    "v_head_dim": 24,
    "n_routed_experts": 6,
    "n_shared_experts": 2,
    "num_experts_per_tok": 2,
    "first_k_dense_replace": 1,
    "topk_method": "group_limited_greedy",
    "n_group": 3,
    "topk_group": 2,
    "routed_scaling_factor": 1.5,
    "vocab_size": 256,
    "max_position_embeddings": 128,
    "rope_parameters": {
        "rope_type": "yarn",
        "factor": 4.0,
        "rope_theta": 10_000.0,
        "original_max_position_embeddings": 32,
        "mscale": 0.707,
        "mscale_all_dim": 0.707,
    },
}
