"""LFM2-MoE (Liquid AI 2025): LFM2 whose layers behind the first have experts, chosen by sigmoids with a correction."""

from dataclasses import replace
from typing import Any

from models.families.changes import where
from models.families.dense import llama
from models.families.experts.mixtral import TRAINING, gate_up
from models.families.recurrent import lfm2
from models.hf import Config
from models.recipes import Copy, PerExpert, Recipes
from models.spec import Arch, MoE, Sigmoid


def arch(config: Config) -> Arch:
    config.only("use_expert_bias", True)
    config.ignore(*TRAINING)
    lfm2.assume(config)
    base = lfm2.hybrid(llama.decoder(config), config)
    experts = MoE(
        experts=config.integer("num_experts", 32),
        active=config.integer("num_experts_per_tok", 4),
        hidden=config.integer("moe_intermediate_size", 1792),
        router=Sigmoid(renormalise=config.flag("norm_topk_prob", True), scale=config.number("routed_scaling_factor", 1.0)),
    )
    dense = config.integer("num_dense_layers", 2)
    return where(base, [i >= dense for i in range(len(base.layers))], lambda layer: replace(layer, ffn=experts))


_F = "model.layers.{i}.feed_forward."

WEIGHTS: Recipes = {
    **lfm2.WEIGHTS,
    "layers.{i}.ffn.router.weight": Copy(_F + "gate.weight"),
    "layers.{i}.ffn.correction": Copy(_F + "expert_bias"),
    "layers.{i}.ffn.experts.up": gate_up(_F + "experts.{e}.w1.weight", _F + "experts.{e}.w3.weight"),
    "layers.{i}.ffn.experts.down": PerExpert(Copy(_F + "experts.{e}.w2.weight")),
}

GGUF: Recipes = {**lfm2.GGUF, **llama.GGUF_EXPERTS, "layers.{i}.ffn.correction": Copy("blk.{i}.exp_probs_b.bias")}

TINY: dict[str, Any] = {
    **{key: value for key, value in lfm2.TINY.items() if not key.startswith("block_")},
    "architectures": ["Lfm2MoeForCausalLM"],
    "model_type": "lfm2_moe",
    "num_dense_layers": 1,
    "num_experts": 5,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 40,
    "routed_scaling_factor": 1.5,
}
