"""The pictures on the pages of a PDF, with the words below or above them."""

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.clean import clean, prose
from retrieval.parse.common.picture_files import MAX_PIXELS, MIN_SIDE, encode
from retrieval.parse.common.pictures import LEFT_OUT
from retrieval.parse.pdf.page.geometry import Box
from retrieval.parse.pdf.page.objects import MAX_DEPTH
from retrieval.parse.pdf.scans import MIN_PAPER, PAPER

BAND = 36.0  # points below a picture, or above it, in which words belong to it
MARGIN = 12.0  # points that they may stand out on its sides
SCAN = 0.8  # share of its page that a picture of paper takes which is a scan of it


def read_pictures(document: pdfium.PdfDocument, builder: DocumentBuilder) -> None:
    """After the text, since pictures are found by words of it. A damaged page has none."""
    for number in range(len(document)) if builder.limits.pictures else ():
        builder.page = number + 1
        builder.set_headings(())
        try:
            page = document[number]
        except pdfium.PdfiumError:
            continue
        for item in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=MAX_DEPTH):
            if isinstance(item, pdfium.PdfImage) and builder.pictures.wanted:
                _picture(page, item, builder)
        page.close()


def _picture(page: pdfium.PdfPage, item: pdfium.PdfImage, builder: DocumentBuilder) -> None:
    width, height = item.get_px_size()
    if min(width, height) < MIN_SIDE:
        return
    try:
        if width * height > MAX_PIXELS:
            raise ValueError
        image, box = item.get_bitmap(render=True).to_pil(), item.get_bounds()  # rendered: with its mask, and upright
    except MemoryError:
        raise
    except Exception:  # the library and Pillow fail in many ways on broken pictures
        builder.add_note(LEFT_OUT)
        return
    if _share(box, page) >= SCAN and sum(image.convert("L").histogram()[PAPER:]) >= MIN_PAPER * width * height:
        return
    if (encoded := encode(image)) is not None:
        builder.place_picture(encoded, _words_near(page, box))


def _share(box: Box, page: pdfium.PdfPage) -> float:
    width, height = page.get_size()
    return (box[2] - box[0]) * (box[3] - box[1]) / max(width * height, 1.0)


def _words_near(page: pdfium.PdfPage, box: Box) -> str:
    """The first line below the picture, else the last one above."""
    left, bottom, right, top = box
    text = page.get_textpage()
    below = text.get_text_bounded(left - MARGIN, bottom - BAND, right + MARGIN, bottom)
    above = text.get_text_bounded(left - MARGIN, top, right + MARGIN, top + BAND)
    text.close()
    lines = [*[line for line in below.splitlines() if line.strip()][:1], *[line for line in above.splitlines() if line.strip()][-1:]]
    return prose(clean(lines[0])) if lines else ""
