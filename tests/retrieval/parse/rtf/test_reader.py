"""Rich Text Format: what its control words mean for the text."""

import pytest

from retrieval.parse.common.builder import HIDDEN_TEXT_NOTE
from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.samples import blocks

HEAD = (
    r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fswiss\fcharset0 Arial;}{\f1\fcharset204 Arial Cyr;}{\f2\fcharset128 MS Mincho;}"
    r"{\f3\ftech\fcharset2 Symbol;}}{\colortbl;\red255\green0\blue0;\red255\green255\blue255;}"
    r"{\stylesheet{\ql Normal;}{\s1\ql\sbasedon0 heading 1;}{\s2\ql heading 2;}}{\info{\title The Guide}{\author Ada}}"
)


def text(body: str) -> str:
    return parsed(f"{HEAD}{body}}}", "a.rtf").text


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (r"\pard Gr\'f6\'dfe, 5\'9610 \'80\par", "Größe, 5–10 €"),
        (r"\pard\u8364?\u228\'e4 \uc0\u-10179\u-8704 x\par", "€ä 😀x"),
        (r"\pard{\f1 \'cb\'e5\'e2} {\f2 \'93\'8c\'90S}\par", "Лев 東心"),
        (r"\pard 10{\super 6} H{\sub 2}O, {\strike 90} 120, 10\up6 7\up0  end\par", "10⁶ H₂O, ~~90~~ 120, 10⁷ end"),
        (r"\pard a\~b\_c\-d\emdash e\ldblquote f\rdblquote\tab g\{\}\\\par", "a b-cd—e“f” g{}\\"),
        (r'\pard See {\field{\*\fldinst HYPERLINK "https://x.example"}{\fldrslt{\ul here}}} now\par', "See here (https://x.example) now"),
        (r"\pard{\*\unknown gone}{\pict\wmetafile8 0102}{\*\bkmkstart x}kept\par", "kept"),
        (r"\pard{\deleted old}{\revised new}\par", "new"),
        (r"\pard Word{\footnote\pard\plain  A note.} goes on\par", "Word ( A note.) goes on"),
        (r"\pard{\upr{ansi?}{\*\ud{unicode \u8364?}}}\par", "unicode €"),
        ("\\pard one\\\ntwo\\line three\\par", "one\n\ntwo\nthree"),
    ],
)  # fmt: skip
def test_text(body: str, shown: str) -> None:
    assert text(body) == shown


def test_headings_lists_and_tables() -> None:
    row = r"\trowd\cellx1000\cellx2000\pard\intbl {}\cell {}\cell\row "
    body = (
        r"\pard\s1 Guide\par\pard\plain Words.\par\pard\s2 Part\par\pard\plain{\listtext\f0 1.\tab}One\par{\listtext\f0 2.\tab}Two\par"
        r"\pard{\pntext\f3\'b7\tab}Dot\par\pard " + row.format("Item", "Price") + row.format("Anchor", "90") + r"\pard After.\par"
    )
    made = parsed(f"{HEAD}{body}}}", "a.rtf")
    assert made.title == "The Guide"
    assert blocks(made) == [
        ("heading", "Guide"),
        ("paragraph", "Words."),
        ("heading", "Part"),
        ("list", "1. One\n2. Two\n- Dot"),
        ("table", "| Item | Price |\n| Anchor | 90 |"),
        ("paragraph", "After."),
    ]
    assert made.blocks[-1].headings == ("Guide", "Part")


def test_merged_cells() -> None:
    rows = [r"\trowd\clvmgf\cellx1000\cellx2000\cellx3000\pard\intbl Coast\cell A\cell 1\cell\row"]
    rows += [
        r"\trowd\clvmrg\cellx1000\cellx2000\cellx3000\pard\intbl\cell B\cell 2\cell\row",
        r"\trowd\cellx1000\clmgf\cellx2000\clmrg\cellx3000\pard\intbl X\cell Y\cell\cell\row",
    ]
    head = r"\trowd\cellx1000\cellx2000\cellx3000\pard\intbl Region\cell City\cell Staff\cell\row"
    more = [rf"\trowd\cellx1000\cellx2000\cellx3000\pard\intbl R{i}\cell C{i}\cell {i}\cell\row" for i in range(8)]
    shown = text("".join([head, *rows, *more]) + r"\pard\par")
    assert "Region: Coast; City: B; Staff: 2" in shown and "Region: R7; City: C7; Staff: 7" in shown


def test_cells_that_reach_over_columns() -> None:
    rows = [rf"\trowd\cellx1000\cellx2000\cellx3000\cellx4000\pard\intbl L{i}\cell A{i}\cell B{i}\cell {i}.50\cell\row" for i in range(9)]
    rows.insert(0, r"\trowd\cellx1000\cellx2000\cellx3000\cellx4000\pard\intbl Line\cell Start\cell End\cell Fare\cell\row")
    rows.append(r"\trowd\cellx1000\cellx3010\cellx4000\pard\intbl L9\cell Ring line\cell 9.50\cell\row")
    assert "Line: L9; Start: Ring line; End: Ring line; Fare: 9.50" in text("".join(rows) + r"\pard\par")


def test_headers_and_footers_are_read_once() -> None:
    head = r"{\header\pard Contract No. HX-2291\par}{\footerf\pard Valid until 2027\par}{\footer\pard Valid until 2027\par}"
    assert text(rf"{head}\pard\s1 Scope\par\pard\plain Words.\par") == "Contract No. HX-2291\n\nScope\n\nWords.\n\nValid until 2027"


@pytest.mark.parametrize("body", [r"{\v Ignore all}", r"{\cf2 Ignore all}"])
def test_hidden_text_is_left_out(body: str) -> None:
    made = parsed(rf"{HEAD}\pard Seen. {body}\par{{\cf2\highlight1 White on red}}\par}}", "a.rtf")
    assert made.text == "Seen.\n\nWhite on red" and made.notes == (HIDDEN_TEXT_NOTE,)


@pytest.mark.parametrize("data", [r"{\rtf1", r"{\rtf1 a}}}}b", r"{\rtf1 \u", r"{\rtf1 \bin99999 x}", r"{\rtf1\ansi " + "{" * 50_000 + "x"])
def test_damaged_files_end(data: str) -> None:
    try:
        parsed(data, "a.rtf")
    except Exception as error:
        assert "no text" in str(error)


def test_rtf_by_another_name() -> None:
    assert parsed(r"{\rtf1\ansi Text\par}", "a.doc").text == "Text"
    assert parsed(r"{\rtf1\ansi Text\par}", "a.txt").media_type == "application/rtf"
