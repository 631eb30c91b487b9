"""Text in images, by themselves and on pages of PDFs, and what is said where nothing recognises it."""

import asyncio
import io
import sys
from collections.abc import Sequence

import pytest
from fpdf import FPDF
from PIL import Image, ImageDraw, ImageFont

from retrieval.parse.limits import Limits, ParseError
from retrieval.parse.pdf.ocr import tesseract
from retrieval.parse.sandbox import SubprocessParser
from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.samples import parts

LINES = ("The boiler valve opens at 6.5 bar.", "It is checked by Ida Halvorsen", "every second Monday in the har-", "bour workshop.")
READ = "The boiler valve opens at 6.5 bar. It is checked by Ida Halvorsen every second Monday in the harbour workshop."


def picture(lines: Sequence[str] = LINES, turn: int = 0) -> Image.Image:
    made = Image.new("L", (1100, 120 + 60 * len(lines)), "white")
    font = ImageFont.load_default(size=40)
    for number, line in enumerate(lines):
        ImageDraw.Draw(made).text((60, 50 + 60 * number), line, fill="black", font=font)
    return made.rotate(turn, expand=True, fillcolor="white")


def saved(image: Image.Image, kind: str, more: Sequence[Image.Image] = ()) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **({"save_all": True, "append_images": list(more)} if more else {}))
    return file.getvalue()


def scan(*images: Image.Image, text: str = "") -> bytes:
    made = FPDF()
    made.set_font("helvetica", size=11)
    for image in images:
        made.add_page()
        if text:
            made.text(20, 20, text)
        made.image(image, x=20, y=40, w=170 if image.width > image.height else 70)
    return bytes(made.output())


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(("kind", "name"), [("PNG", "a.png"), ("JPEG", "a.jpg"), ("TIFF", "a.tif")])
def test_text_in_an_image(kind: str, name: str) -> None:
    made = parsed(saved(picture(), kind), name)
    assert one_line(made.text) == READ
    assert made.media_type == f"image/{kind.lower()}" and "OCR" in made.notes[0]


def test_transparent_images_are_read_on_white() -> None:
    image = Image.new("LA", (1100, 160), (0, 0))
    ImageDraw.Draw(image).text((60, 50), LINES[0], fill=(0, 255), font=ImageFont.load_default(size=40))
    assert one_line(parsed(saved(image, "PNG"), "a.png").text) == LINES[0]


def test_frames_are_pages() -> None:
    made = parsed(saved(picture(LINES[:1]), "TIFF", [picture(("Second sheet of the file",))]), "a.tiff")
    assert [(block.page, one_line(made.text[block.start : block.end])) for block in made.blocks] == [
        (1, LINES[0]),
        (2, "Second sheet of the file"),
    ]


def test_scanned_pages_are_read_whichever_way_they_lie() -> None:
    made = parsed(scan(picture(), picture(turn=180), picture(turn=90)), "a.pdf")
    assert made.notes == ("the text of 3 of 3 pages was recognised in images (OCR) and may hold errors",)
    for page in (1, 2, 3):
        assert READ in one_line(" ".join(made.text[block.start : block.end] for block in made.blocks if block.page == page))


def test_a_page_of_text_and_a_scan_has_both() -> None:
    made = parsed(scan(picture(), text="Enclosed: letter of 7 May"), "a.pdf")
    assert one_line(made.text) == f"Enclosed: letter of 7 May {READ}"


def test_without_the_extra_the_reason_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tesserocr", None)
    for data, name in ((saved(picture(), "PNG"), "a.png"), (scan(picture()), "a.pdf")):
        with pytest.raises(ParseError, match=r"stoa\[ocr\]"):
            parsed(data, name)
    mixed = parsed(scan(picture(), text="Enclosed: letter of 7 May"), "a.pdf")
    assert mixed.text == "Enclosed: letter of 7 May" and "stoa[ocr]" in mixed.notes[0]


def test_pages_that_take_too_long_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tesseract.Recogniser, "has_time", lambda _: False)
    with pytest.raises(ParseError, match="images only: recognising the text of so many takes too long"):
        parsed(scan(picture()), "a.pdf")


def test_what_shows_no_text() -> None:
    with pytest.raises(ParseError, match="no text was recognised"):
        parsed(saved(Image.new("RGB", (300, 300), "red"), "PNG"), "a.png")
    with pytest.raises(ParseError, match="no text"):
        parsed(scan(Image.new("RGB", (300, 300), "red")), "a.pdf")
    with pytest.raises(ParseError, match="damaged"):
        parsed(saved(picture(), "PNG")[:300], "a.png")


def test_recognition_keeps_the_limits_of_the_parser() -> None:
    parser = SubprocessParser(Limits(), workers=1)
    try:
        assert one_line(asyncio.run(parser.parse(parts(scan(picture())), "a.pdf")).text) == READ
    finally:
        parser.close()
