"""Tables of relative positions, each shared by the layers that have the same, and what a layer makes of its rows.

P rows of a table, D model, H heads, G key/value heads, K head dim.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.batch import Backend
from models.parts.norms import norm
from models.score_bias import BiasRows, PositionRows, Relative
from models.spec import Attention, Disentangled, RelativeBias


class BiasTable(nn.Module):
    """() -> BiasRows"""

    def __init__(self, spec: RelativeBias, heads: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(spec.buckets, heads, dtype=torch.float32), requires_grad=False)

    def forward(self, x_TD: Tensor, qkv: Callable[[Tensor], Tensor]) -> Relative:
        return BiasRows(self.weight.T)


class PositionTable(nn.Module):
    """() -> float32 x_PD: the rows, normed."""

    def __init__(self, spec: Disentangled, dim: int, backend: Backend) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(2 * spec.span, dim, dtype=torch.float32), requires_grad=False)
        self.norm = norm(spec.norm, dim, backend.ops)

    def forward(self) -> Tensor:
        return self.norm(self.weight)


class PositionHeads(nn.Module):
    """What one layer makes of a table's rows: keys and queries of their own projections, or of the contents'. No text changes
    them, so the first step's serve all."""

    def __init__(self, name: str, spec: Attention, position: Disentangled, table: PositionTable, backend: Backend) -> None:
        super().__init__()
        self.spec, self.position, self.table = spec, position, table
        self._made: Relative | None = None
        h, g, k, dim = spec.heads, spec.kv_heads, spec.head_dim, table.weight.shape[1]
        own = not position.shared_projections
        self.key = backend.linear(f"{name}.key", dim, (g * k,), bias=spec.bias) if own and position.keys else None
        self.query = backend.linear(f"{name}.query", dim, (h * k,), bias=spec.bias) if own and position.queries else None

    def forward(self, x_TD: Tensor, qkv: Callable[[Tensor], Tensor]) -> Relative:
        """`qkv`: the layer's projection of contents."""
        if self._made is None:
            self._made = self._make(x_TD, qkv)
        return self._made

    def _make(self, x_TD: Tensor, qkv: Callable[[Tensor], Tensor]) -> Relative:
        rows_PD = self.table().to(x_TD.dtype)
        if self.position.shared_projections:
            return self._of_contents(qkv(rows_PD))
        keys_PO = None if self.key is None else self.key(rows_PD)
        queries_PO = None if self.query is None else self.query(rows_PD)
        return self._heads(keys_PO, queries_PO)

    def _of_contents(self, y_PO: Tensor) -> Relative:
        h, g, k = self.spec.heads, self.spec.kv_heads, self.spec.head_dim
        queries_PO, keys_PO, _ = y_PO.split((h * k, g * k, g * k), 1)
        return self._heads(keys_PO if self.position.keys else None, queries_PO if self.position.queries else None)

    def _heads(self, keys_PO: Tensor | None, queries_PO: Tensor | None) -> Relative:
        k = self.spec.head_dim
        keys_PGK, queries_PHK = (None if y is None else y.unflatten(1, (-1, k)) for y in (keys_PO, queries_PO))
        return PositionRows(keys_PGK, queries_PHK)


class Tables:
    """The tables of one model, made as layers ask for them: the first layer that needs one owns it."""

    def __init__(self, dim: int, backend: Backend) -> None:
        self._dim, self._backend = dim, backend
        self._biases: dict[tuple[RelativeBias, int], BiasTable] = {}
        self._positions: dict[Disentangled, PositionTable] = {}

    def of(self, name: str, spec: Attention) -> nn.Module | None:
        """(x_TD, qkv) -> Relative, for the layer that calls itself so; None where its scores depend on no table."""
        match spec.position:
            case RelativeBias(shared=False) as position:
                return BiasTable(position, spec.heads)
            case RelativeBias() as position:
                return self._biases.setdefault((position, spec.heads), BiasTable(position, spec.heads))
            case Disentangled() as position:
                table = self._positions.setdefault(position, PositionTable(position, self._dim, self._backend))
                return PositionHeads(name, spec, position, table, self._backend)
            case _:
                return None
