"""Memory against context in the terminal: bars whose lengths are logarithms, within 80 columns."""

from collections.abc import Mapping
from math import log2

from models.describe import Description

BAR = 50  # characters
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def chart(models: Mapping[str, Description]) -> list[str]:
    """A block of bars for each model that remembers something, all on one scale: what is kept of a text of so many tokens."""
    known = {name: d for name, d in models.items() if d.bytes_per_context}
    if not known:
        return []
    kept = [count for d in known.values() for _, count in d.curve]
    least, most = log2(max(1, min(kept))) - 1, log2(max(2, *kept))
    lines = ["memory of one text by its tokens (logarithms; ░: beyond the context)"]
    for name, d in known.items():
        lines.append(f"  {name[-76:]}")
        for tokens, count in d.curve:
            length = round(BAR * (log2(max(1, count)) - least) / (most - least))
            lines.append(f"  {_short(tokens):>5} {('█' if tokens <= d.context else '░') * max(1, length)} {_bytes(count)}")
    return lines


def _short(tokens: int) -> str:
    return f"{tokens >> 20} M" if tokens >> 20 else f"{tokens >> 10} k"


def _bytes(count: int) -> str:
    power = min(len(UNITS) - 1, max(0, count.bit_length() - 1) // 10)
    return f"{count / 1024**power:,.1f} {UNITS[power]}"
