"""Mixtral (arXiv 2401.04088): Mistral with two of eight experts for each token."""

from dataclasses import replace
from typing import Any

from models.families.changes import each
from models.families.dense import llama
from models.families.dense.mistral import windowed
from models.hf import Config
from models.recipes import Cat, Copy, PerExpert, Recipes
from models.spec import MLP, Arch, Layer, MoE, Router, Softmax

# weights of a loss that only training knows, and noise that only training adds
TRAINING = ("output_router_logits", "router_aux_loss_coef", "router_jitter_noise")


def arch(config: Config) -> Arch:
    config.only("hidden_act", "silu")
    config.assume(num_key_value_heads=8, rope_theta=1_000_000.0, rms_norm_eps=1e-5)
    config.ignore(*TRAINING)
    experts, active = config.integer("num_local_experts", 8), config.integer("num_experts_per_tok", 2)
    base = windowed(llama.decoder(config), config)
    return each(base, lambda layer: mixed(layer, experts, active, Softmax(renormalise=True)))


def mixed(layer: Layer, experts: int, active: int, router: Router, **more: Any) -> Layer:
    """Experts as wide as the MLP that stands there."""
    match layer.ffn:
        case MLP(hidden=hidden, activation=activation):
            spec = MoE(experts=experts, active=active, hidden=hidden, activation=activation, router=router)
            return replace(layer, ffn=replace(spec, **more))
        case other:
            raise TypeError(f"this layer has {type(other).__name__} where an MLP should become experts")


_M = "model.layers.{i}.block_sparse_moe."


def gate_up(gate: str, up: str) -> PerExpert:
    return PerExpert(Cat((Copy(gate), Copy(up))))


WEIGHTS: Recipes = {
    **{name: recipe for name, recipe in llama.WEIGHTS.items() if ".ffn." not in name},
    "layers.{i}.ffn.router.weight": Copy(_M + "gate.weight"),
    "layers.{i}.ffn.experts.up": gate_up(_M + "experts.{e}.w1.weight", _M + "experts.{e}.w3.weight"),
    "layers.{i}.ffn.experts.down": PerExpert(Copy(_M + "experts.{e}.w2.weight")),
}

GGUF: Recipes = {**llama.GGUF, **llama.GGUF_EXPERTS}

TINY: dict[str, Any] = {
    **llama.TINY,
    "architectures": ["MixtralForCausalLM"],
    "model_type": "mixtral",
    "num_local_experts": 5,
    "num_experts_per_tok": 2,
    "sliding_window": 9,
}
