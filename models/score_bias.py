"""What positions add to the scores of queries and keys: ALiBi, T5's relative bias, DeBERTa's disentangled attention.

B sequences, H heads, G key/value heads, K head dim, Q queries, M keys, P rows of a table of relative positions.
"""

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from models.ops import wide
from models.spec import Alibi, Attention, Disentangled, RelativeBias, alibi_slopes


@dataclass(frozen=True, eq=False)
class BiasRows:
    """Of a `RelativeBias`: what each row adds to a head's scores."""

    bias_HP: Tensor


@dataclass(frozen=True, eq=False)
class PositionRows:
    """Of a `Disentangled` position: each row as a key and as a query, where the spec asks for it."""

    keys_PGK: Tensor | None
    queries_PHK: Tensor | None


Relative = BiasRows | PositionRows


@dataclass(frozen=True, eq=False)
class Scoring:
    """Parameters that take part in an attention's scores beside its queries and keys, each where its spec asks for it."""

    sinks_H: Tensor | None = None
    relative: Relative | None = None


PLAIN = Scoring()


def scale_of(spec: Attention) -> float:
    return spec.head_dim**-0.5 if spec.scale is None else spec.scale


def slopes(spec: Attention, device: torch.device) -> Tensor:
    """float32 [H]: what ALiBi takes off a score for each token between query and key. 0 for other positions."""
    match spec.position:
        case Alibi(max_bias=most, scaled=scaled):
            return torch.tensor(alibi_slopes(spec.heads, most), device=device) * (scale_of(spec) if scaled else 1.0)
        case _:
            return torch.zeros(spec.heads, device=device)


def score_bias(
    spec: Attention, relative: Relative | None, q_BHQK: Tensor, k_BGMK: Tensor, query_BQ1: Tensor, key_M: Tensor
) -> Tensor | None:
    """[B, H, Q, M], to be added to the scaled scores; None where the position adds nothing. Positions may have a B of 1."""
    match spec.position, relative:
        case Alibi(), _:
            return -slopes(spec, key_M.device)[:, None, None] * (query_BQ1 - key_M).abs().unsqueeze(1)
        case RelativeBias() as position, BiasRows(bias_HP):
            rows_BQM = bias_rows(position, spec.mask.ahead != 0, query_BQ1 - key_M)
            return bias_HP[:, rows_BQM].transpose(0, 1)
        case Disentangled() as position, PositionRows() as rows:
            rows_B1QM = position_rows(position, query_BQ1 - key_M).unsqueeze(1)
            return _disentangled(rows, rows_B1QM, q_BHQK, k_BGMK) * scale_of(spec)
        case RelativeBias() | Disentangled(), _:
            raise ValueError(f"{type(spec.position).__name__} needs its table's rows")
        case _:
            return None


def _disentangled(rows: PositionRows, rows_B1QM: Tensor, q_BHQK: Tensor, k_BGMK: Tensor) -> Tensor:
    share = q_BHQK.shape[1] // k_BGMK.shape[1]
    rows_BHQM = rows_B1QM.expand(*q_BHQK.shape[:2], -1, -1)
    bias_BHQM = torch.zeros((), device=q_BHQK.device)
    if rows.keys_PGK is not None:
        keys_HKP = rows.keys_PGK.permute(1, 2, 0).repeat_interleave(share, 0)
        bias_BHQM = bias_BHQM + wide(q_BHQK @ keys_HKP).gather(-1, rows_BHQM)
    if rows.queries_PHK is not None:
        scores_BHMP = wide(k_BGMK.repeat_interleave(share, 1) @ rows.queries_PHK.permute(1, 2, 0))
        bias_BHQM = bias_BHQM + scores_BHMP.gather(-1, rows_BHQM.mT).mT
    return bias_BHQM


def bias_rows(position: RelativeBias, both_ways: bool, back: Tensor) -> Tensor:
    """int64, for queries so many tokens behind their keys: half of the rows are for a distance each, the other half for
    distances that grow. `both_ways`: the upper half of them all is for keys further on."""
    count = position.buckets // 2 if both_ways else position.buckets
    distance = torch.arange(position.max_distance + 1, device=back.device)
    exact = count // 2
    far = exact + ((distance / exact).log() / log(position.max_distance / exact) * (count - exact)).clamp(0).long()
    row_of_distance = torch.where(distance < exact, distance, far.clamp(max=count - 1))
    if both_ways:
        return row_of_distance[back.abs().clamp(max=position.max_distance)] + (back < 0) * count
    return row_of_distance[back.clamp(0, position.max_distance)]


def position_rows(position: Disentangled, back: Tensor) -> Tensor:
    """int64, for queries so many tokens behind their keys: row `span` is for the query itself."""
    span, most, middle = position.span, position.max_distance or position.span, position.span // 2
    distance = torch.arange(most + 1, device=back.device)
    if position.max_distance is not None:
        growth = (distance.clamp(min=1) / middle).log() / torch.tensor((most - 1) / middle, device=back.device).log()
        distance = torch.where(distance <= middle, distance, ((growth * (middle - 1)).ceil() + middle).long())
    return (distance[back.abs().clamp(max=most)] * back.sign() + span).clamp(0, 2 * span - 1)
