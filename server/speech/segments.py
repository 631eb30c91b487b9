"""The tokens of one window become segments, at their times (Radford et al. 2022, arXiv 2212.04356, section 4.5; as openai-whisper cuts
them)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

FRAMES_A_TIME = 2  # what lies between two times: 20 ms, in frames of 10 ms


@dataclass(frozen=True, slots=True)
class Piece:
    """Frames from the window's beginning, and which of the tokens it has: with its times."""

    start: int
    end: int
    first: int
    behind: int


@dataclass(frozen=True, slots=True)
class Cut:
    pieces: tuple[Piece, ...]
    advance: int  # frames until the next window begins


def cut(tokens: Sequence[int], first_time: int, size: int) -> Cut:
    """`size`: frames of the window that are of the recording. A segment that is not complete is left to the next window, which begins where
    the last complete one ends, so that nothing said over the border is lost. No segment goes on beyond the recording."""
    is_time = [token >= first_time for token in tokens]
    borders = [at for at, pair in enumerate(pairwise(is_time), 1) if pair == (True, True)]
    ends_alone = is_time[-2:] == [False, True]
    if not borders:
        return Cut(_within([_undivided(tokens, first_time, size)], size), size)
    if ends_alone:  # nothing is said behind it
        borders.append(len(tokens))
    pieces = [_piece(tokens, first_time, start, end) for start, end in pairwise([0, *borders])]
    advance = size if ends_alone else min(pieces[-1].end, size)
    return Cut(_within(pieces, size), advance or size)  # a window that ends where it began would come again and again


def _piece(tokens: Sequence[int], first_time: int, first: int, behind: int) -> Piece:
    start, end = (FRAMES_A_TIME * (token - first_time) for token in (tokens[first], tokens[behind - 1]))
    return Piece(start, end, first, behind)


def _undivided(tokens: Sequence[int], first_time: int, size: int) -> Piece:
    """All of it, between the times that it begins and ends with, if it does."""
    times = [FRAMES_A_TIME * (token - first_time) for token in (*tokens[:1], *tokens[1:][-1:])]
    start = max(0, times[0]) if times else 0
    return Piece(start, times[-1] if times and times[-1] > start else size, 0, len(tokens))


def _within(pieces: Sequence[Piece], size: int) -> tuple[Piece, ...]:
    return tuple(Piece(piece.start, min(piece.end, size), piece.first, piece.behind) for piece in pieces if piece.start < size)
