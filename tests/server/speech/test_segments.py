"""The tokens of a window become segments; nothing is lost between two windows, and nothing is beyond the recording's end."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.speech.segments import Piece, cut

FIRST, WORD = 1000, 7


def spoken(*parts: float | str) -> list[int]:
    return [WORD if isinstance(part, str) else FIRST + round(part * 50) for part in parts]


@pytest.mark.parametrize(
    ("parts", "size", "spans", "advance"),
    [
        ((0.0, "a", 2.0), 3000, [(0, 200)], 3000),  # nothing is said behind it
        ((0.0, "a", 2.0, 2.0, "b", 5.0), 3000, [(0, 200), (200, 500)], 3000),
        ((0.0, "a", 2.0, 2.5, "b", 5.0, 5.0), 3000, [(0, 200), (250, 500)], 500),  # it wants to go on at 5 s
        ((0.0, "a", 28.0, 28.0, "b"), 3000, [(0, 2800)], 2800),  # what is begun is heard again
        ((0.5, "a", "b"), 3000, [(50, 3000)], 3000),  # a text without end
        ((0.5, "a"), 400, [(50, 400)], 400),
        (("a",), 400, [(0, 400)], 400),
        ((), 3000, [(0, 3000)], 3000),
        ((0.0, "a", 2.0, 2.0, "b", 6.0), 450, [(0, 200), (200, 450)], 450),  # beyond the recording
        ((0.0, "a", 2.0, 5.0, "b", 6.0, 6.0), 450, [(0, 200)], 450),
        ((0.0, "a", 0.0, 0.0, "b"), 3000, [(0, 0)], 3000),  # would begin anew for ever
    ],
)
def test_cuts(parts: tuple[float | str, ...], size: int, spans: list[tuple[int, int]], advance: int) -> None:
    found = cut(spoken(*parts), FIRST, size)
    assert [(piece.start, piece.end) for piece in found.pieces] == spans
    assert found.advance == advance


def test_pieces_know_their_tokens() -> None:
    found = cut(spoken(0.0, "a", "b", 2.0, 2.0, "c", 5.0), FIRST, 3000)
    assert found.pieces == (Piece(0, 200, 0, 4), Piece(200, 500, 4, 7))


@st.composite
def answers(draw: st.DrawFn) -> list[int]:
    """As the rules of times allow them."""
    time, tokens = draw(st.integers(0, 50)), list[int]()
    for _ in range(draw(st.integers(0, 8))):
        end = draw(st.integers(min(time + 1, 1500), 1500))
        tokens += [FIRST + time, *[WORD] * draw(st.integers(1, 3)), FIRST + end]
        time = draw(st.integers(end, 1500))
    if draw(st.booleans()):  # it wants to go on
        tokens += [FIRST + time, *[WORD] * draw(st.integers(0, 3))]
    return tokens


@given(answers(), st.integers(10, 3000))
def test_what_holds_of_every_answer(tokens: list[int], size: int) -> None:
    found = cut(tokens, FIRST, size)
    assert 0 < found.advance <= size
    assert all(0 <= piece.start <= piece.end <= size for piece in found.pieces)
    assert all(before.behind <= after.first for before, after in pairwise(found.pieces))
