"""Marks that name no passage."""

import pytest

from server.marks import Marks


def shown(text: str, passages: int, size: int) -> str:
    marks = Marks(passages)
    parts = [marks.push(text[at : at + size]) for at in range(0, len(text), size)]
    return "".join([*parts, marks.push("", last=True)])


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("31 days [7].", "31 days."),
        ("31 days[7].", "31 days."),
        ("31 days [1][7]. More [4]", "31 days [1]. More [4]"),
        ("31 days [1, 7; 2].", "31 days [1, 2]."),
        ("31 days [ 7 ] and [7", "31 days [ 7 ] and"),
        ("31 days [1] [", "31 days [1]"),
        ("see `a[1", "see `a[1"),
        ("[7] 31 days\n[8] [9]  of leave", "31 days\nof leave"),
        ("none [0] at [5] all", "none at all"),
        ("[1] [2]\n\n[3] [4] [5] [6]", "[1] [2]\n\n[3] [4]"),
        ("in `list[7]` or ```\na[8]\n``` but [9] not", "in `list[7]` or ```\na[8]\n``` but not"),
        ("a link [7](http://x.y) in [2026]", "a link [7](http://x.y) in [2026]"),
        ("spaces  stay \n  as they are ", "spaces  stay \n  as they are "),
        ("[" + "1, " * 40 + "[9]", "[" + "1, " * 39 + "1,"),
    ],
)
def test_marks_of_no_passage_are_taken_out(said: str, kept: str, size: int) -> None:
    assert shown(said, 4, size) == kept


def test_only_what_may_become_a_mark_is_held_back() -> None:
    marks = Marks(4)
    assert [marks.push(text) for text in ("31 days", " [", "7", "] of", " [1", "]", ".")] == ["31 days", "", "", " of", "", "", " [1]."]
