"""Marks that name no passage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.citations.marks import Part, parts_to_text
from server.chat.grounding.citation_marks import CitationMarkFilter

PASSAGES = ["The interval is [0, 1].", "The grades are [10, 20, 30].", "", ""]


def shown(text: str, size: int) -> str:
    marks = CitationMarkFilter(PASSAGES)
    parts = [parts_to_text(marks.push(text[at : at + size])) for at in range(0, len(text), size)]
    return "".join([*parts, parts_to_text(marks.push("", last=True))])


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("31 days [7].", "31 days."),
        ("31 days [7][1].", "31 days [1]."),
        ("31 days [7]off", "31 days off"),
        ("31 days [1][7]. More [4]", "31 days [1]. More [4]"),
        ("31 days [1, 7; 2].", "31 days [1, 2]."),
        ("31 days [ 7 ] and [7", "31 days [ 7 ] and"),
        ("31 days [1] [", "31 days [1]"),
        ("In [0, 1]. The grades are [10, 20, 30].", "In [0, 1]. The grades are [10, 20, 30]."),
        ("see `a[1", "see `a[1"),
        ("[7] 31 days\n[8] [9]  of leave", "31 days\nof leave"),
        ("none [0] at [5] all", "none at all"),
        ("[1] [2]\n\n[3] [4] [5] [6]", "[1] [2]\n\n[3] [4]"),
        ("in `list[7]` or\n```\na [8]\n```\nbut [9] not", "in `list[7]` or\n```\na [8]\n```\nbut not"),
        ("a link [7](http://x.y) in [2026]", "a link [7](http://x.y) in [2026]"),
        ("spaces  stay \n  as they are ", "spaces  stay \n  as they are "),
        ("so [" + "1, " * 40 + "9].", "so [" + "1, " * 39 + "1]."),
        ("[9]", "[9]"),
        ("[9] [8", "[9] [8"),
        ("", ""),
    ],
)
def test_marks_of_no_passage_are_taken_out(said: str, kept: str, size: int) -> None:
    assert shown(said, size) == kept


PIECES = ["[1]", "[9]", "[1, 9]", "[0, 1]", "[", "]", "`", "```", "\n", " ", "\t", "a", "7", ", ", "1, " * 30, "."]


@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join), st.lists(st.integers(1, 12)))
def test_however_it_is_cut_the_same_is_shown(answer: str, steps: list[int]) -> None:
    marks, parts, at = CitationMarkFilter(PASSAGES), list[Part](), 0
    for step in steps:
        parts += marks.push(answer[at : at + step])
        at += step
    parts += marks.push(answer[at:], last=True)
    assert parts_to_text(parts) == parts_to_text(CitationMarkFilter(PASSAGES).push(answer, last=True))
    assert parts_to_text(parts).strip() or not answer.strip()


def test_only_what_may_become_a_mark_is_held_back() -> None:
    marks = CitationMarkFilter(PASSAGES)
    pushed = [parts_to_text(marks.push(text)) for text in ("31 days", " [", "7", "] of", " [1", "]", ".")]
    assert pushed == ["31 days", "", "", " of", "", "", " [1]."]
