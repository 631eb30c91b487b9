"""What is a mark in an answer, and what is text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.citations.marks import MAX_MARK, CitationMark, CitationMarkParser, Part, parts_to_text

PASSAGES = ["The probability lies in the interval [0, 1].", "The grades are [10, 20, 30]."]


def marks(answer: str) -> list[str]:
    parts = CitationMarkParser(PASSAGES).push(answer, last=True)
    assert parts_to_text(parts) == answer
    return [part.text for part in parts if isinstance(part, CitationMark)]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("So it is [1]. And [2, 3]; [4][5]", ["[1]", "[2, 3]", "[4]", "[5]"]),
        ("**so**[1] (so [2]) (so)[3] 龙活九百年[4]。", ["[1]", "[2]", "[3]", "[4]"]),
        ("in [0, 1], in [0,1] and [10,  20,30], not [10, 20]", ["[10, 20]"]),
        ("a[7] = a_[7] = a1[7] = é[7], m[0][7], [x][7]", []),
        ("[[9]] and [see [9]] but [1]", ["[1]"]),
        ("in [0, 5) or (3, 4] there [1]", ["[1]"]),
        ("[\n[9],\n[8]\n]\n\n[1]", ["[1]"]),
        ("[open [9]\n\nand [1]", ["[1]"]),
        ("a link [7](http://x.y), a year [2026]", []),
        ("`a [9]` ``b ` [9]`` c [1]", ["[1]"]),
        ("one ` tick [1], and\n` another [2]", ["[1]", "[2]"]),
        ("```py\n[9]\n```\n[1]", ["[1]"]),
        ("  ~~~ py `\n[9]\n```\n[9]\n~~\n~~~~ \n[1]", ["[1]"]),
        ("```` \n[9]\n```\n[9]\n`````\n[1]", ["[1]"]),
        ("```[9]``` is code [1]", ["[1]"]),
        ("~~so~~ [1]\n~~~\n[9]", ["[1]"]),
        ("so [1] and [2", ["[1]", "[2"]),
        ("the list [10, 2", []),
        ("the cell a[2", []),
        ("so [" + "1, " * 60 + "1]", ["[" + "1, " * 60 + "1]"]),
        ("so [" + "1, " * MAX_MARK + "1]", []),
        ("`" + "x" * MAX_MARK + "` [1]", ["[1]"]),
    ],
)
def test_marks_and_text(answer: str, found: list[str]) -> None:
    assert marks(answer) == found


PIECES = ["[1]", "[0, 1]", "[", "]", "(", ")", "`", "``", "```", "~~~", "\n", " ", "a", "龙", "7", ", ", "[1, " * 3, "1, " * 30, "."]


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), st.lists(st.integers(1, 12)))
def test_however_it_is_cut_it_is_read_the_same(answer: str, steps: list[int]) -> None:
    reader, parts, at = CitationMarkParser(PASSAGES), list[Part](), 0
    for step in steps:
        parts += reader.push(answer[at : at + step])
        at += step
    parts += reader.push(answer[at:], last=True)
    assert parts_to_text(parts) == answer
    assert _placed(parts) == _placed(CitationMarkParser(PASSAGES).push(answer, last=True))


def _placed(parts: list[Part]) -> list[tuple[int, CitationMark]]:
    return [(len(parts_to_text(parts[:i])), part) for i, part in enumerate(parts) if isinstance(part, CitationMark)]


def test_what_cannot_become_a_mark_is_told_at_once() -> None:
    reader = CitationMarkParser(PASSAGES)
    pushed = [
        parts_to_text(reader.push(text)) for text in ("31 days", " [", "7", "] of", " `a", "[1]", "` b\n", "``", "`py", "\n", "[7]", "\n")
    ]
    assert pushed == ["31 days", " ", "", "[7] of", " ", "", "`a[1]` b\n", "", "", "```py\n", "[7]", "\n"]
