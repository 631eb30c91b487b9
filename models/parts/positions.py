"""Rotary and sinusoidal positions. P positions, R rotated dimensions of a head; R/2 frequencies."""

from math import ceil, floor, log, pi

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.ops import Ops
from models.parts.axial import AxialPositions
from models.spec import (
    Axial,
    Divided,
    DynamicNtk,
    Learned,
    Linear,
    Llama3,
    LongRope,
    Repeated,
    Rope,
    Sinusoidal,
    Yarn,
    rope_lengths,
    rope_turns,
)


class Rotary(nn.Module):
    """One table, shared by all layers with the same `Rope`. (x_THK, batch) -> x_THK"""

    table_PR: Tensor

    def __init__(self, spec: Rope, context: int, ops: Ops) -> None:
        super().__init__()
        self.spec, self.ops = spec, ops
        self.register_buffer("table_PR", table(spec, context), persistent=False)

    def forward(self, x_THK: Tensor, batch: Batch) -> Tensor:
        if self.spec.axes is None or batch.places_AT is None:
            return self.ops.rotate(x_THK, self.table_PR, batch.rotary_T.get(self.spec, batch.positions_T))
        if self.spec not in batch.turns:
            batch.turns[self.spec] = turned(self.spec, self.table_PR, batch.places_AT)
        return self.ops.rotate(x_THK, batch.turns[self.spec], torch.arange(len(x_THK), device=x_THK.device))


def turned(spec: Rope, table_PR: Tensor, places_AT: Tensor) -> Tensor:
    """float32 table_TR: a row for each token, of which each frequency is that of one coordinate."""
    axis_F, frequency_F = torch.tensor(rope_turns(spec), device=table_PR.device).T
    where_TF = places_AT.T[:, axis_F]
    return torch.cat([half_PF[where_TF, frequency_F] for half_PF in table_PR.chunk(2, -1)], -1)


def table(spec: Rope, context: int) -> Tensor:
    """float32 table_PR for positions 0..context-1: the cosines of all frequencies, then the sines. Where sequences of
    several lengths have angles of their own (`rope_lengths`), those tables behind one another."""
    return torch.cat([_table(spec, length) for length in rope_lengths(spec, context)])


def _table(spec: Rope, length: int) -> Tensor:
    """For sequences of up to `length` tokens."""
    angle = torch.outer(torch.arange(length, dtype=torch.float32), frequencies(spec, length))
    return torch.cat([angle.cos(), angle.sin()], -1) * _amplitude(spec, length)


def frequencies(spec: Rope, length: int = 0) -> Tensor:
    """float32 [R/2], radians per position, highest first, in a sequence of up to `length` tokens."""
    dim = spec.dim // spec.axes.count if isinstance(spec.axes, Repeated) else spec.dim
    f = spec.base ** -(torch.arange(0, dim, 2, dtype=torch.float32) / dim)
    match spec.scaling:
        case None:
            return f
        case Linear(factor=factor):
            return f / factor
        case Divided(factors=factors):
            return f / torch.tensor(factors)
        case Llama3() as scaling:
            return _llama3(f, scaling)
        case Yarn() as scaling:
            return _yarn(f, spec, scaling)
        case LongRope(original=original, short=short, long=long):
            return f / torch.tensor(long if length > original else short)
        case DynamicNtk() as scaling:
            return _dynamic(spec, scaling, length)


def _dynamic(rope: Rope, s: DynamicNtk, length: int) -> Tensor:
    growth = s.factor * max(length, s.original) / s.original - (s.factor - 1)
    base = rope.base * growth ** (rope.dim / (rope.dim - 2))
    return base ** -(torch.arange(0, rope.dim, 2, dtype=torch.float32) / rope.dim)


def _llama3(f: Tensor, s: Llama3) -> Tensor:
    """Short waves stay, long ones are stretched by `factor`, those between go over smoothly."""
    turns = s.original * f / (2 * pi)
    keep = ((turns - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor)).clamp(0, 1)
    return keep * f + (1 - keep) * f / s.factor


def _yarn(f: Tensor, rope: Rope, s: Yarn) -> Tensor:
    """Frequencies that turn more than beta_fast times within the original context stay; below beta_slow they are
    divided by `factor`; linear between, over the frequency's index."""
    low, high = _index_of(s.beta_fast, rope, s), _index_of(s.beta_slow, rope, s)
    if s.truncate:
        low, high = floor(low), ceil(high)
    low, high = max(low, 0), min(high, rope.dim - 1)
    interpolate = ((torch.arange(len(f), dtype=torch.float32) - low) / max(high - low, 0.001)).clamp(0, 1)
    return f * (1 - interpolate) + f / s.factor * interpolate


def _index_of(turns: float, rope: Rope, s: Yarn) -> float:
    """The (fractional) frequency index that makes so many turns within the original context."""
    return rope.dim * log(s.original / (turns * 2 * pi)) / (2 * log(rope.base))


def _amplitude(spec: Rope, length: int) -> float:
    """A temperature on attention, applied to q and k alike."""
    match spec.scaling:
        case Yarn(attention_factor=None, factor=factor):
            return 0.1 * log(factor) + 1 if factor > 1 else 1.0
        case Yarn(attention_factor=float(given)):
            return given
        case LongRope(original=original, short_amplitude=short, long_amplitude=long):
            return long if length > original else short
        case _:
            return 1.0


class Sinusoids(nn.Module):
    """positions_T -> float32 x_TD, for positions 0..count-1."""

    table_PD: Tensor

    def __init__(self, spec: Sinusoidal, dim: int, count: int, ops: Ops) -> None:
        super().__init__()
        self.ops = ops
        self.register_buffer("table_PD", sinusoids(spec, dim, torch.arange(count)), persistent=False)

    def forward(self, positions_T: Tensor) -> Tensor:
        return self.ops.rows(self.table_PD, positions_T)


def sinusoids(spec: Sinusoidal, dim: int, positions_T: Tensor) -> Tensor:
    """float32 x_TD"""
    half = dim // 2
    exponents = torch.arange(half, dtype=torch.float64, device=positions_T.device) / (half - 1 if spec.inclusive else half)
    angles = torch.outer(positions_T.double() + spec.start, spec.base**-exponents)
    pair = (angles.sin(), angles.cos())
    return (torch.stack(pair, -1).flatten(1) if spec.order == "interleaved" else torch.cat(pair, 1)).float()


def added(name: str, position: Learned | Sinusoidal | Axial | None, dim: int, context: int, backend: Backend) -> nn.Module | None:
    """positions_T -> x_TD, under this name, for positions 0..context-1."""
    match position:
        case None:
            return None
        case Learned(count=count):
            return backend.embedding(name, count, dim)
        case Axial() as spec:
            return AxialPositions(name, spec, backend)
        case Sinusoidal() as spec:
            return Sinusoids(spec, dim, context, backend.ops)
