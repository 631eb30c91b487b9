"""Orders of rows: how a checkpoint's come to lie as ours do."""

from collections.abc import Callable

import torch
from torch import Tensor

from models.quant import WeightsError
from models.spec import Attention, LatentAttention, LinearAttention, Rope
from models.weights.source import Source


def halves(source: Source) -> Callable[[Tensor], Tensor]:
    """Row numbers in their new order: the rotated ones of each head, or those behind a latent."""
    match source.mixer:
        case Attention(head_dim=k, position=rope):
            return _paired_rows(k, 0, rope.dim if isinstance(rope, Rope) else k)
        case LatentAttention(kv_rank=r, nope_dim=n, rope_dim=p):
            first = r if ".kv_down." in source.target else n
            return _paired_rows(first + p, first, first + p)
        case other:
            raise WeightsError(f"{source.target}: {type(other).__name__} has no rotated rows")


def _paired_rows(block: int, first: int, end: int) -> Callable[[Tensor], Tensor]:
    """In each `block` of rows those from `first` to `end` go from pairs to halves."""

    def order(rows: Tensor) -> Tensor:
        rows_NB = rows.view(-1, block)
        halves_NR = rows_NB[:, first:end].unflatten(1, (-1, 2)).transpose(1, 2).flatten(1)
        return torch.cat([rows_NB[:, :first], halves_NR, rows_NB[:, end:]], 1).flatten()

    return order


def by_role(source: Source) -> Callable[[Tensor], Tensor]:
    def order(rows: Tensor) -> Tensor:
        heads, sizes = _roles(source, len(rows))
        return torch.cat([part.flatten() for part in rows.view(heads, -1).split(sizes, 1)])

    return order


def _roles(source: Source, rows: int) -> tuple[int, tuple[int, ...]]:
    """Heads by which `rows` rows lie, and how many of a head's have each role."""
    if isinstance(source.mixer, LinearAttention):
        m, share = source.mixer, source.mixer.heads // source.mixer.key_heads
        values = share * m.value_dim
        return m.key_heads, (share, share) if rows == 2 * m.heads else (m.key_dim, m.key_dim, values, values)
    m = source.attention
    return m.kv_heads, (m.heads // m.kv_heads * m.head_dim, m.head_dim, m.head_dim)


def halved(spec: Attention, of: str) -> Callable[[Tensor], Tensor]:
    return lambda rows: rows.view(spec.heads, 2, spec.head_dim)[:, int(of == "gates")].flatten()


def by_key_heads(source: Source) -> Callable[[Tensor], Tensor]:
    m = source.linear
    others, values = 2 * m.key_heads * m.key_dim, m.heads * m.value_dim

    def order(rows: Tensor) -> Tensor:
        first = others if len(rows) == others + values else 0
        return torch.cat([rows[:first], rows[first:].view(m.heads // m.key_heads, m.key_heads, -1).transpose(0, 1).flatten()])

    return order
