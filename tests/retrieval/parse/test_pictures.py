"""Pictures in documents: which are taken out, as what, and which words stand beside them."""

import io
import zipfile

import docx
import pptx
import pytest
from docx.shared import Inches
from PIL import Image, ImageDraw
from pptx.util import Inches as SlideInches

from retrieval.api import Document
from retrieval.parse.limits import Limits, ParseError
from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.pdf_file import FIRST_EXTRA, pdf, stream, text

RED, GREEN = (200, 20, 20), (20, 160, 40)


def picture(color: tuple[int, int, int], form: str = "PNG", side: int = 64) -> bytes:
    image = Image.new("RGB", (side, side), (10, 10, 10))
    ImageDraw.Draw(image).ellipse((side // 4, side // 4, side * 3 // 4, side * 3 // 4), fill=color)
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def read(content: bytes, name: str, pictures: int = 10) -> Document:
    return parsed(content, name, Limits(pictures=pictures))


def shown(document: Document) -> list[tuple[str, int | None, str]]:
    """Words beside each picture, its page, and the name of the colour in its middle."""
    names = {RED: "red", GREEN: "green"}
    found = list[tuple[str, int | None, str]]()
    for one in document.pictures:
        image = Image.open(io.BytesIO(one.data)).convert("RGB")
        middle = image.getpixel((image.width // 2, image.height // 2))
        assert isinstance(middle, tuple)
        red, green, _ = middle
        color = min(names, key=lambda known: abs(known[0] - red) + abs(known[1] - green))
        found.append((document.text[one.start : one.end], one.page, names[color]))
    return found


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_an_image_is_a_picture_with_the_words_of_its_name(form: str) -> None:
    document = read(picture(RED, form), "a_red-ball.dat")
    assert document.text == "a red ball"
    assert shown(document) == [("a red ball", None, "red")]
    assert document.pictures[0].media_type == ("image/jpeg" if form == "JPEG" else "image/png")


def test_a_large_image_becomes_small_and_loses_its_metadata() -> None:
    image = Image.effect_noise((3000, 1500), 90).convert("RGB")
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x010E] = "where I live"
    image.save(file, "JPEG", exif=exif)
    (one,) = read(file.getvalue(), "noise.jpg").pictures
    assert Image.open(io.BytesIO(one.data)).size == (768, 384) and b"where I live" not in one.data


def test_without_a_model_that_sees_it_an_image_is_refused_by_name() -> None:
    with pytest.raises(ParseError, match="--image-embedding-model"):
        read(picture(RED), "ball.png", pictures=0)


def test_word() -> None:
    document = docx.Document()
    document.add_heading("Balls", 1)
    document.add_paragraph("The one that we like is shown here.")
    document.add_picture(io.BytesIO(picture(RED)), Inches(1))
    document.add_paragraph("Figure 1: our favourite")
    document.add_paragraph("Nothing else is to be said of it. " * 30)
    table = document.add_table(1, 2)
    table.cell(0, 0).paragraphs[0].add_run().add_picture(io.BytesIO(picture(GREEN)), Inches(1))
    table.cell(0, 1).text = "The other one"
    file = io.BytesIO()
    document.save(file)
    read_document = read(file.getvalue(), "balls.docx")
    (first, second) = shown(read_document)
    assert first == ("Figure 1: our favourite", None, "red") and second[2] == "green" and "The other one" in second[0]
    assert read_document.pictures[0].headings == ("Balls",)


def test_slides() -> None:
    presentation = pptx.Presentation()
    for title, color in (("First ball", RED), ("Second ball", GREEN)):
        slide = presentation.slides.add_slide(presentation.slide_layouts[5])
        assert slide.shapes.title is not None
        slide.shapes.title.text = title
        slide.shapes.add_picture(io.BytesIO(picture(color)), SlideInches(1), SlideInches(2))
    slide = presentation.slides[1]
    slide.shapes[1]._element.xpath("./p:nvPicPr/p:cNvPr")[0].set("descr", "A ball on a dark floor")
    file = io.BytesIO()
    presentation.save(file)
    first, second = shown(read(file.getvalue(), "balls.pptx"))
    assert first == ("First ball", 1, "red")
    assert second[1:] == (2, "green") and "A ball on a dark floor" in second[0]


def test_an_archive_and_the_same_picture_twice() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, color in (("one_ball.png", RED), ("again.png", RED), ("notes.txt", None), ("leaf.png", GREEN)):
            archive.writestr(name, b"Nothing." if color is None else picture(color))
    document = read(file.getvalue(), "balls.zip")
    assert [(words, color) for words, _, color in shown(document)] == [("again", "red"), ("leaf", "green")]


def test_no_more_than_are_wanted_and_none_that_are_tiny_or_broken() -> None:
    document = docx.Document()
    document.add_paragraph("Balls")
    for side in (8, 64, 65, 66):
        document.add_picture(io.BytesIO(picture(RED, side=side)), Inches(1))
    file = io.BytesIO()
    document.save(file)
    assert len(read(file.getvalue(), "balls.docx", 2).pictures) == 2
    assert read(file.getvalue(), "balls.docx", 0).pictures == ()
    with pytest.raises(ParseError):
        read(picture(RED)[:60], "ball.png")


def test_pdf() -> None:
    images = [Image.open(io.BytesIO(picture(color))).tobytes() for color in (RED, GREEN)]
    entries = "/Type /XObject /Subtype /Image /Width 64 /Height 64 /ColorSpace /DeviceRGB /BitsPerComponent 8"
    one, other = (f"q 100 0 0 100 100 500 cm /I{number} Do Q\n" for number in (1, 2))
    pages = [
        text(100, 700, "Much is said about balls elsewhere.") + one + text(100, 480, "Figure 7: the red ball"),
        other + text(100, 610, "A green one is here."),
    ]
    names = f"/XObject << /I1 {FIRST_EXTRA} 0 R /I2 {FIRST_EXTRA + 1} 0 R >>"
    content = pdf(pages, [stream(entries, image) for image in images], resources=names)
    assert shown(read(content, "balls.pdf")) == [("Figure 7: the red ball", 1, "red"), ("A green one is here.", 2, "green")]


def test_what_is_masked_in_a_pdf_is_paper() -> None:
    entries = "/Type /XObject /Subtype /Image /Width 64 /Height 64 /BitsPerComponent 8"
    mask = bytes(255 if 16 <= i % 64 < 48 else 0 for i in range(64 * 64))
    extra = [stream(f"{entries} /ColorSpace /DeviceRGB /SMask {FIRST_EXTRA + 1} 0 R", bytes(RED) * 64 * 64)]
    extra.append(stream(f"{entries} /ColorSpace /DeviceGray", mask))
    page = text(100, 700, "A red stripe") + "q 100 0 0 100 100 500 cm /I1 Do Q\n"
    (one,) = read(pdf([page], extra, resources=f"/XObject << /I1 {FIRST_EXTRA} 0 R >>"), "stripe.pdf").pictures
    image = Image.open(io.BytesIO(one.data)).convert("RGB")
    assert image.getpixel((2, 32)) == (255, 255, 255) and image.getpixel((32, 32)) == RED
