"""Mixture of experts: a router chooses for each token the few experts that compute it. E experts, A chosen ones."""

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.ops import Ops
from models.parts.ffn import FeedForward
from models.spec import MLP, MoE, Sigmoid


class MixtureOfExperts(nn.Module):
    """x_TD -> x_TD: the chosen experts weighted and summed, and the shared one."""

    def __init__(self, name: str, spec: MoE, dim: int, backend: Backend) -> None:
        super().__init__()
        self.name, self.spec, self.ops = name, spec, backend.ops
        self.router = Gate(dim, spec.experts, spec.router_bias, backend.ops)
        corrected = isinstance(spec.router, Sigmoid)
        self.correction = nn.Parameter(torch.empty(spec.experts, dtype=torch.float32), requires_grad=False) if corrected else None
        self.narrow = backend.linear(f"{name}.narrow", dim, (spec.latent,), split="whole") if spec.latent else None
        self.experts = backend.experts(f"{name}.experts", spec, spec.latent or dim)
        self.widen = backend.linear(f"{name}.widen", spec.latent, (dim,), split="whole") if spec.latent else None
        self.shared = FeedForward(f"{name}.shared", _shared(spec), dim, backend) if spec.shared else None
        self.shared_gate = Gate(dim, 1, False, backend.ops) if spec.shared_gate else None

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        experts_TA, weights_TA = self.ops.route(self.spec, self.router(x_TD), self.correction)
        if batch.watcher is not None:
            batch.watcher.routed(self.name, self.spec, experts_TA, weights_TA)
        y_TD = self._chosen(x_TD, experts_TA, weights_TA)
        return y_TD if self.shared is None else self.ops.add(y_TD, self._shared(x_TD, self.shared, batch))

    def _chosen(self, x_TD: Tensor, experts_TA: Tensor, weights_TA: Tensor) -> Tensor:
        if self.narrow is None or self.widen is None:
            return self.experts(x_TD, experts_TA, weights_TA)
        return self.widen(self.experts(self.narrow(x_TD), experts_TA, weights_TA))

    def _shared(self, x_TD: Tensor, shared: nn.Module, batch: Batch) -> Tensor:
        y_TD = shared(x_TD, batch)
        return y_TD if self.shared_gate is None else self.ops.open(y_TD, self.shared_gate(x_TD))


class Gate(nn.Module):
    """x_TD -> float32 logits_TE."""

    def __init__(self, dim: int, outputs: int, bias: bool, ops: Ops) -> None:
        super().__init__()
        self.score = ops.score
        self.weight = nn.Parameter(torch.empty(outputs, dim, dtype=torch.float32), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(outputs, dtype=torch.float32), requires_grad=False) if bias else None

    def forward(self, x_TD: Tensor) -> Tensor:
        return self.score(x_TD, self.weight, self.bias)


def _shared(spec: MoE) -> MLP:
    return MLP(hidden=spec.shared, activation=spec.activation, gated=spec.gated, bias=spec.bias)
