"""What makes one row of numbers of a sentence's rows. D model, E numbers that come out."""

import torch
from torch import Tensor, nn

from models.batch import Backend
from models.parts.norms import norm
from models.spec import Activation, Classifier, Dense, Pooled, Pooling


class DensePart(nn.Module):
    """x_SI -> y_SO"""

    def __init__(self, name: str, spec: Dense, d_in: int, backend: Backend) -> None:
        super().__init__()
        self.act = backend.ops.activate
        self.activation: Activation | None = spec.activation
        self.linear = backend.linear(f"{name}.linear", d_in, (spec.width,), bias=spec.bias)
        self.norm = norm(spec.norm, spec.width, backend.ops)

    def forward(self, x_SI: Tensor) -> Tensor:
        y_SO = self.linear(x_SI)
        return self.norm(y_SO if self.activation is None else self.act(y_SO, self.activation))


class Head(nn.Module):
    """(x_TD, starts_S1) -> float32 y_SE. A classifier is a pooling too, with one more layer."""

    def __init__(self, spec: Pooled | Classifier, dim: int, backend: Backend) -> None:
        super().__init__()
        self.ops = backend.ops
        self.pooling, dense, self.normalized = _steps(spec)
        inputs = (dim * len(self.pooling), *(layer.width for layer in dense))
        self.layers = nn.ModuleList(DensePart(f"head.layers.{i}", layer, inputs[i], backend) for i, layer in enumerate(dense))

    def forward(self, x_TD: Tensor, starts_S1: Tensor) -> Tensor:
        y_SE = torch.cat([self.ops.pool(x_TD, starts_S1, kind) for kind in self.pooling], -1)
        for layer in self.layers:
            y_SE = layer(y_SE.to(x_TD.dtype)).float()
        return self.ops.normalize(y_SE) if self.normalized else y_SE


def _steps(spec: Pooled | Classifier) -> tuple[tuple[Pooling, ...], tuple[Dense, ...], bool]:
    match spec:
        case Pooled(pooling=kinds, layers=layers, normalize=normalize):
            return kinds, layers, normalize
        case Classifier(labels=labels, pooling=kind, hidden=hidden):
            return (kind,), (hidden, Dense(width=labels)), False
