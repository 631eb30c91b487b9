"""What a load comes to, simulated or real."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import ceil

Served = tuple[float, Sequence[float]]  # when a request came, and when each of its tokens did: seconds of one clock


@dataclass(frozen=True)
class Figures:
    """Milliseconds, and tokens a second from the first arrival to the last token."""

    first_p50: float
    first_p99: float
    between_p50: float
    between_p99: float
    tokens_s: float

    def off(self, other: "Figures") -> dict[str, float]:
        """How far each lies from the other's, as a share of that."""
        mine, theirs = asdict(self), asdict(other)
        return {name: round(mine[name] / theirs[name] - 1, 3) for name in mine}


def figures(served: Iterable[Served]) -> Figures:
    """Of requests that all got a token. Where none got two, nothing lies between: NaN."""
    pairs = list(served)
    first = [stamps[0] - came for came, stamps in pairs]
    between = [b - a for _, stamps in pairs for a, b in pairwise(stamps)]
    seconds = max(stamps[-1] for _, stamps in pairs) - min(came for came, _ in pairs)
    return Figures(
        first_p50=_ms(first, 0.5),
        first_p99=_ms(first, 0.99),
        between_p50=_ms(between, 0.5),
        between_p99=_ms(between, 0.99),
        tokens_s=round(sum(len(stamps) for _, stamps in pairs) / seconds, 1),
    )


def _ms(seconds: Sequence[float], share: float) -> float:
    return round(percentile(seconds, share) * 1e3, 2)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest that at least such a share of them does not exceed."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * share - 1e-9) - 1)]
