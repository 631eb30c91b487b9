"""Qwen1.5-MoE and Qwen2-MoE (arXiv 2407.10671): Qwen2 with many narrow experts and one that computes every token, behind a
gate of its own; some layers are dense."""

from dataclasses import replace
from typing import Any

from models.families.changes import where
from models.families.dense import llama, qwen2
from models.families.experts.mixtral import TRAINING, gate_up
from models.hf import Config
from models.recipes import Copy, PerExpert, Recipes, cat
from models.spec import Arch, MoE, Softmax


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    base = qwen2.windowed(llama.decoder(config, bias=config.flag("qkv_bias", True)), config)
    shared = config.integer("shared_expert_intermediate_size", 5632)
    return sparse(base, replace(experts(config, config.integer("num_experts", 60), 4), shared=shared, shared_gate=True), config)


def experts(config: Config, count: int, active: int) -> MoE:
    config.ignore(*TRAINING)
    return MoE(
        experts=count,
        active=config.integer("num_experts_per_tok", active),
        hidden=config.integer("moe_intermediate_size"),
        router=Softmax(renormalise=config.flag("norm_topk_prob", False)),
    )


def sparse(base: Arch, moe: MoE, config: Config) -> Arch:
    """Experts in each last of `decoder_sparse_step` layers, but not in those that `mlp_only_layers` names."""
    step, dense = config.integer("decoder_sparse_step", 1), config.integers("mlp_only_layers") or ()
    chosen = [i not in dense and (i + 1) % step == 0 for i in range(len(base.layers))]
    return where(base, chosen, lambda layer: replace(layer, ffn=moe))


_M = "model.layers.{i}.mlp."

EXPERTS: Recipes = {
    "layers.{i}.ffn.router.weight": Copy(_M + "gate.weight"),
    "layers.{i}.ffn.experts.up": gate_up(_M + "experts.{e}.gate_proj.weight", _M + "experts.{e}.up_proj.weight"),
    "layers.{i}.ffn.experts.down": PerExpert(Copy(_M + "experts.{e}.down_proj.weight")),
}

WEIGHTS: Recipes = {
    **qwen2.WEIGHTS,
    **EXPERTS,
    "layers.{i}.ffn.shared.up.weight": cat(_M + "shared_expert.gate_proj.weight", _M + "shared_expert.up_proj.weight"),
    "layers.{i}.ffn.shared.down.weight": Copy(_M + "shared_expert.down_proj.weight"),
    "layers.{i}.ffn.shared_gate.weight": Copy(_M + "shared_expert_gate.weight"),
}

GGUF: Recipes = {
    **llama.GGUF_PLAIN,
    **llama.GGUF_EXPERTS,
    "layers.{i}.ffn.shared_gate.weight": Copy("blk.{i}.ffn_gate_inp_shexp.weight"),
}

TINY: dict[str, Any] = {
    **llama.TINY,
    "architectures": ["Qwen2MoeForCausalLM"],
    "model_type": "qwen2_moe",
    "num_hidden_layers": 4,
    "num_experts": 7,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 40,
    "shared_expert_intermediate_size": 56,
    "mlp_only_layers": [2],
}
