"""Text that runs from right to left or downwards is read in the order in which people read it, whatever the producer wrote."""

from typing import Any

import pytest

from retrieval.api import Document
from retrieval.parse.pdf.page import bidi
from tests.packed import document
from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.samples import blocks


def read(name: str) -> Document:
    return parsed(document(name), name)


def in_order(shown: str) -> str:
    """What is read where this is seen from left to right, each letter ten points wide."""
    line = bidi.glyphs([(char, (10.0 * at, 0, 10.0 * at + 9, 12)) for at, char in enumerate(shown)], 12)
    return " ".join("".join(glyph.text for glyph in word) for word in bidi.logical(line, page_leftwards=not shown.startswith("Title")))


@pytest.mark.parametrize(
    ("shown", "read"),
    [
        ("םולש", "שלום"),
        (".1998 תנשב הדסונ הרבחה", "החברה נוסדה בשנת 1998."),
        ("INV-2041 (Amber Ltd) :ןובשח", "חשבון: INV-2041 (Amber Ltd)"),
        ("(Amber Ltd) תרבח", "חברת (Amber Ltd)"),
        (")הרבח( ריחמ", "מחיר (חברה)"),
        ("(הרבח) ריחמ", "מחיר (חברה)"),  # some fonts name the glyph, some the sign
        ("10:30 העשב 12/05/2026", "12/05/2026 בשעה 10:30"),
        ("2027 30 ןוכנ", "נכון 30 2027"),
        ("04-555 ןופלט", "טלפון 04-555"),
        ("04-555 فتاه", "هاتف 555-04"),  # as it was typed: after Arabic letters a hyphen joins no numbers
        ("50% ץובק", "קבוץ 50%"),
        ("₪1,250.00 ריחמ", "מחיר ₪1,250.00"),
        ("Title of םולש today", "Title of שלום today"),
        ("", ""),
    ],
)
def test_reading_order(shown: str, read: str) -> None:
    assert in_order(shown) == read


@pytest.mark.parametrize("shown", ["1 ", "(", "$", "(1", "1) ", "א(", "א1 "])
def test_the_longest_lines_take_steps_in_proportion(shown: str) -> None:
    counted = Counted(list(shown * 2_000))
    list(bidi._runs(counted, True, False))
    assert counted.steps < 250 * len(counted)


class Counted(list[bidi.Glyph]):
    """Glyphs that count how often they are looked at."""

    def __init__(self, characters: list[str]) -> None:
        super().__init__(bidi._glyph(char, at, at + 1) for at, char in enumerate(characters))
        self.steps = 0

    def __getitem__(self, key: Any) -> Any:
        self.steps += 1
        return super().__getitem__(key)


def test_marks_stand_behind_their_letters_and_ligatures_in_reading_order() -> None:
    points = [("ם", (0, 0, 9, 12)), ("\u05b8", (13.0, 0, 13.0, 12)), ("ש", (10, 0, 19, 12))]
    assert [glyph.text for glyph in bidi.glyphs(points, 12)] == ["ם", "ש\u05b8"]
    drawn_as_one = [("ا", (0, 0, 9, 12)), ("ل", (0, 0, 9, 12))]
    assert [glyph.text for glyph in bidi.glyphs(drawn_as_one, 12)] == ["لا"]


def test_arabic_of_an_office_program() -> None:
    made = read("arabic-office.pdf")
    for sentence in (
        "تأسست الشركة في عام 1998 وبلغ عدد موظفيها 250 موظفا.",
        "يجب دفع مبلغ 4,250.00 دولار قبل 30 يونيو 2027.",
        "رقم الفاتورة: INV-2041 (Amber Ltd) وتاريخها 12/05/2026.",
        "إلا إذا طلب العميل التوصيل السريع إلى خارج المدينة في نفس اليوم.",
    ):
        assert sentence in made.text
    assert blocks(made)[-1] == ("table", "| الصنف | الكمية | السعر |\n| تفاح | 12 | 3.50 |\n| كمثرى | 7 | 4.25 |")


def test_hebrew_whose_words_are_drawn_backwards() -> None:
    text = read("hebrew-cairo.pdf").text
    assert "החברה נוסדה בשנת 1998 ומעסיקה 250 עובדים." in text
    assert "מספר חשבונית: INV-2041 (Amber Ltd) מתאריך 12/05/2026." in text


def test_lines_of_vertical_japanese_are_joined() -> None:
    made = read("japanese-vertical.pdf")
    assert blocks(made)[0] == ("heading", "就業規則")
    assert "業務の都合により、これを変更することがある。変更する場合は、少なくとも三日前までに" in made.text
