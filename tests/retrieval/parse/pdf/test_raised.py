"""Digits above and below the line are not those of the number before them."""

import pytest

from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.pdf_file import pdf, text


@pytest.mark.parametrize(
    ("pieces", "read"),
    [
        ((("10", 0, 11), ("6", 4, 7), (" units", 0, 11)), "10⁶ units"),
        ((("price 500", 0, 11), ("1", 4, 7), (" EUR", 0, 11)), "price 500¹ EUR"),
        ((("25 m", 0, 11), ("2", 4, 7), (" of land", 0, 11)), "25 m² of land"),
        ((("CO", 0, 11), ("2", -3, 7), (" from coal", 0, 11)), "CO₂ from coal"),
        ((("10", 0, 11), ("-3", 4, 7), (" mol", 0, 11)), "10⁻³ mol"),
        ((("No. 10", 0, 11), ("6", 0, 11), (" of 2026", 0, 11)), "No. 106 of 2026"),
        ((("Room 10", 0, 11), ("6", 0, 7), (" is small", 0, 11)), "Room 106 is small"),
    ],
)
def test_digits_above_and_below_the_line(pieces: tuple[tuple[str, float, float], ...], read: str) -> None:
    content, x = "", 72.0
    for words, up, size in pieces:
        content += text(x, 700 + up, words, size)
        x += sum(_WIDTHS.get(char, 556) for char in words) * size / 1000
    assert parsed(pdf([content]), "a.pdf").text == read


_WIDTHS = {" ": 278, ".": 278, "i": 222, "l": 222, "f": 278, "t": 278, "r": 333, "c": 500, "s": 500, "-": 333, "m": 833, "C": 722, "O": 778}
