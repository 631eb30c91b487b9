"""What makes one row of numbers of a sentence's rows. D model, E numbers that come out."""

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.norms import norm
from models.parts.probe import ProbePart
from models.spec import Activation, Classifier, Dense, Pooled, Pooling, Probe, pooled_width


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
    """(x_TD, batch) -> float32 y_SE. A classifier is a pooling too, with one more layer."""

    def __init__(self, spec: Pooled | Classifier, dim: int, backend: Backend) -> None:
        super().__init__()
        self.ops = backend.ops
        kinds = spec.pooling
        self.kinds: tuple[Pooling, ...] = () if isinstance(kinds, Probe) else kinds
        self.probe = ProbePart("head.probe", kinds, dim, backend) if isinstance(kinds, Probe) else None
        self.normalized = isinstance(spec, Pooled) and spec.normalize
        inputs = (pooled_width(spec, dim), *(layer.width for layer in spec.layers))
        self.layers = nn.ModuleList(DensePart(f"head.layers.{i}", layer, inputs[i], backend) for i, layer in enumerate(spec.layers))

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        y_SE = self._pooled(x_TD, batch)
        for layer in self.layers:
            y_SE = layer(y_SE.to(x_TD.dtype)).float()
        return self.ops.normalize(y_SE) if self.normalized else y_SE

    def _pooled(self, x_TD: Tensor, batch: Batch) -> Tensor:
        if self.probe is not None:
            return self.probe(x_TD, batch).float()
        return torch.cat([self.ops.pool(x_TD, batch.starts_S1, kind) for kind in self.kinds], -1)
