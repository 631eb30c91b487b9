"""vLLM's mixture of experts as a leaf: our parts route, vLLM's kernels compute the chosen experts."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from vllm.config import VllmConfig
from vllm.model_executor.layers.fused_moe.config import FusedMoEParallelConfig
from vllm.model_executor.layers.fused_moe.layer import FusedMoEFactory

from engine.vllm.plugin.inexpressible import Inexpressible
from models.quant import Weight, dense, each
from models.spec import Clamped, InputSigmoid, MoE

ACTIVATIONS = {"silu": "silu", "gelu": "gelu", "gelu_tanh": "gelu_tanh", "relu2": "relu2"}


class Experts(nn.Module):
    """(x_TD, experts_TA, weights_TA) -> y_TD. vLLM's layer wants logits and a function that routes by them: it gets what was chosen in
    their place, ids as float32, which holds them exactly."""

    def __init__(self, name: str, spec: MoE, dim: int, config: VllmConfig) -> None:
        super().__init__()
        e, f = spec.experts, spec.hidden
        up = 2 * f if spec.gated else f
        self.gated, self.pairs = spec.gated, isinstance(spec.activation, Clamped)
        self.fields = {"up": (e, up, dim), "down": (e, dim, f)}
        if spec.bias:
            self.fields |= {"up_bias": (e, up), "down_bias": (e, dim)}
        self.layer = FusedMoEFactory(
            num_experts=e,
            top_k=spec.active,
            hidden_size=dim,
            intermediate_size=f,
            renormalize=False,
            custom_routing_function=chosen,
            apply_router_weight_on_input=isinstance(spec.router, InputSigmoid),
            router_logits_dtype=torch.float32,
            has_bias=spec.bias,
            quant_config=config.quant_config,
            prefix=name,
            **_activation(name, spec),
        )

    def assign(self, field: str, value: Weight) -> None:
        """Called with all experts' matrices or biases; vLLM's layer takes those that are this rank's."""
        for expert, part in enumerate(each(value)):
            if field.startswith("up"):
                for shard, half in zip(("w1", "w3"), self._halves(dense(part)), strict=False):
                    self._load("w13", field, half, shard, expert)
            else:
                self._load("w2", field, self._down(field, dense(part)), "w2", expert)

    def _down(self, field: str, value: Tensor) -> Tensor:
        """What is summed over ranks has its bias from one of them."""
        return torch.zeros_like(value) if field.endswith("bias") and self._parallel.tp_rank else value

    @property
    def _parallel(self) -> FusedMoEParallelConfig:
        """How vLLM cuts each expert: not at all where ranks have some of the experts each."""
        return cast(Any, self.layer).moe_config.moe_parallel_config

    def _halves(self, up: Tensor) -> Sequence[Tensor]:
        """Of an expert's rows, gates before ups."""
        if not self.gated:
            return (up,)
        return _in_pairs(up, self._parallel.tp_size) if self.pairs else up.chunk(2)

    def _load(self, matrix: str, field: str, value: Tensor, shard: str, expert: int) -> None:
        name = f"{matrix}_{'bias' if field.endswith('bias') else 'weight'}"
        routed = cast(Any, self.layer).routed_experts
        parameter = getattr(routed, name)
        routed.weight_loader(parameter, value.to(parameter.dtype), name, shard_id=shard, expert_id=expert)

    def forward(self, x_TD: Tensor, experts_TA: Tensor, weights_TA: Tensor) -> Tensor:
        return self.layer(x_TD, torch.cat([weights_TA.float(), experts_TA.float()], -1))


def chosen(hidden_states: Tensor, gating_output: Tensor, topk: int, renormalize: bool) -> tuple[Tensor, Tensor]:
    """A routing function of vLLM's: weights_TA and ids_TA."""
    weights_TA, ids_TA = gating_output.split(topk, -1)
    return weights_TA, ids_TA.to(torch.int32)


def _in_pairs(up: Tensor, ways: int) -> Sequence[Tensor]:
    """Each gate beside its up, as vLLM's `swigluoai` reads them: two halves of each rank's pairs, for a loader that cuts both."""
    pairs = torch.stack(up.chunk(2), 1)
    first, second = pairs.unflatten(0, (ways, -1)).flatten(1, 2).chunk(2, 1)
    return first.flatten(0, 1), second.flatten(0, 1)


def _activation(name: str, spec: MoE) -> dict[str, Any]:
    match spec.activation:
        case Clamped() as clamped if clamped == Clamped():  # vLLM's kernels know gpt-oss's numbers only
            return {"activation": "swigluoai"}
        case named if named in ACTIVATIONS:
            return {"activation": ACTIVATIONS[named] + ("" if spec.gated else "_no_mul")}
        case other:
            raise Inexpressible(name, f"experts with the activation {other}")
