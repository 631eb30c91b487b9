"""How long a step takes, between measured points."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class StepTime(Protocol):
    def __call__(self, decodes: int, prompt_tokens: int, luck: float) -> float:
        """Seconds. `luck` from 0 to 1 says how far up among the measured ones: the same step does not always take as long."""
        ...


@dataclass(frozen=True)
class StepTable:
    """`seconds[d, p]`: sorted measurements of a step of d decodes and p prompt tokens, for all pairs of some d and some p. Between them
    times are interpolated, and beyond the last they go on as between the last two."""

    seconds: Mapping[tuple[int, int], Sequence[float]]

    def __call__(self, decodes: int, prompt_tokens: int, luck: float) -> float:
        ds, ps = (sorted({key[i] for key in self.seconds}) for i in (0, 1))
        (d0, d1, d), (p0, p1, p) = _between(ds, decodes), _between(ps, prompt_tokens)
        low, high = (self._at((d, p0), luck) * (1 - p) + self._at((d, p1), luck) * p for d in (d0, d1))
        return max(0.0, low * (1 - d) + high * d)

    def _at(self, key: tuple[int, int], luck: float) -> float:
        found = self.seconds[key]
        return found[min(len(found) - 1, int(luck * len(found)))]

    def joined(self, other: "StepTable") -> "StepTable":
        """Of the same pairs."""
        return StepTable({key: sorted([*found, *other.seconds[key]]) for key, found in self.seconds.items()})

    def as_json(self) -> list[list[float | Sequence[float]]]:
        return [[d, p, [round(s, 6) for s in found]] for (d, p), found in sorted(self.seconds.items())]


def table_of(rows: Sequence[tuple[int, int, Sequence[float]]]) -> StepTable:
    """What `as_json` wrote. ValueError where a pair is missing."""
    seconds = {(int(d), int(p)): sorted(found) for d, p, found in rows}
    ds, ps = {d for d, _ in seconds}, {p for _, p in seconds}
    missing = [(d, p) for d in sorted(ds) for p in sorted(ps) if (d, p) not in seconds]
    if missing or len(ds) < 2 or len(ps) < 2:
        raise ValueError(f"step times: a table of at least two decodes and two prompt tokens is needed; missing: {missing}")
    return StepTable(seconds)


def _between(points: Sequence[int], x: int) -> tuple[int, int, float]:
    """The two points around x, or the last two, and how far x lies from the first to the second."""
    i = min(max(bisect_right(points, x) - 1, 0), len(points) - 2)
    return points[i], points[i + 1], (x - points[i]) / (points[i + 1] - points[i])
