"""Slides of OpenDocument presentations, and pages of drawings: a slide is a page, its title a heading; notes follow."""

import re

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.office import visibility
from retrieval.parse.office.opendocument.blocks import Writer
from retrieval.parse.office.opendocument.names import Element, q
from retrieval.parse.office.opendocument.text import FRAMES, TextReader
from retrieval.parse.office.slides.order import Box, in_reading_order

COUNTERS = ("page-number", "date-time", "header", "page")  # classes of placeholders
_LENGTH = re.compile(r"(-?[\d.]+)(cm|mm|in|pt|px)?")
_UNITS = {"cm": 1000.0, "mm": 100.0, "in": 2540.0, "pt": 35.28, "px": 26.46, None: 1.0}  # hundredths of a millimetre by ten


def write(body: Element, builder: DocumentBuilder, text: TextReader, blocks: Writer) -> None:
    hidden, footers = 0, set[str]()
    for number, page in enumerate(body.iterchildren(q("draw:page")), 1):
        style = page.get(q("draw:style-name"), "")
        if text.styles.value("drawing-page", style, "style:drawing-page-properties", "presentation:visibility") == "hidden":
            hidden += 1
        builder.page = number
        builder.set_headings(())
        _page(page, builder, text, blocks, footers)
    visibility.note_hidden(builder, "slide", hidden)


def _page(page: Element, builder: DocumentBuilder, text: TextReader, blocks: Writer, footers: set[str]) -> None:
    shapes = list(in_reading_order([(_box(shape), shape) for shape in page.iterchildren(*FRAMES)]))
    for shape in shapes:
        if _role(shape) == "title":
            builder.add_heading(text.flat(shape), 1)
    for shape in shapes:
        if _role(shape) == "footer":
            footer = text.flat(shape)
            builder.add_block("paragraph", "" if footer in footers else footer)
            footers.add(footer)
        elif _role(shape) not in ("title", *COUNTERS) and shape.get(q("presentation:placeholder")) != "true":
            blocks.frame(shape)
    for notes in page.iterchildren(q("presentation:notes")):
        for shape in notes.iterchildren(*FRAMES):
            if _role(shape) not in COUNTERS and shape.get(q("presentation:placeholder")) != "true":
                blocks.frame(shape)


def _role(shape: Element) -> str:
    return shape.get(q("presentation:class"), "")


def _box(shape: Element) -> Box:
    left, top, width, height = (_length(shape.get(q(f"svg:{name}"), "")) for name in ("x", "y", "width", "height"))
    return left, top, left + width, top + height


def _length(text: str) -> int:
    found = _LENGTH.fullmatch(text)
    return round(float(found[1]) * _UNITS[found[2]]) if found else 0
