"""Guesses of what comes next: what followed the last time that the text read so (prompt lookup decoding; vLLM's n-gram proposer)."""

from collections.abc import Sequence as Several

import numpy as np
from numpy.typing import NDArray

from engine.embedded.sequence import Sequence

SHORTEST, LONGEST = 3, 8  # tokens of a text's end that are looked for earlier in it


def look_up(tokens: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most `most` tokens that may follow: those behind the latest place where the longest suffix stands, of at least SHORTEST tokens.
    Where that place reaches into the suffix, the text goes on as a loop."""
    if most <= 0 or len(tokens) <= SHORTEST:
        return tokens[:0]
    ends = np.flatnonzero(tokens[:-1] == tokens[-1])
    for length in range(1, min(LONGEST, len(tokens) - 1)):
        kept = ends[ends >= length]
        kept = kept[tokens[kept - length] == tokens[-1 - length]]
        if not len(kept):
            if length < SHORTEST:
                return tokens[:0]
            break
        ends = kept
    if not len(ends):
        return tokens[:0]
    begin = int(ends[-1]) + 1
    return np.resize(tokens[begin:], most) if len(tokens) - begin < most else tokens[begin : begin + most]


class NGrams:
    """Implements drafter.Drafter."""

    def draft(self, wanted: Several[tuple[Sequence, int]]) -> list[NDArray[np.int64]]:
        return [look_up(seq.tokens[: seq.length], most) for seq, most in wanted]
