"""PowerPoint (.pptx): a slide is a page, its title a heading; speaker notes and comments follow the slide's content."""

from collections.abc import Iterator
from typing import IO, Any

import pptx
from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.oxml import parse_xml
from pptx.oxml.ns import qn
from pptx.shapes.group import GroupShape
from pptx.slide import Slide

from retrieval.parse.common import tables
from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.grid import Cell
from retrieval.parse.office import package, visibility
from retrieval.parse.office.drawing import charts, diagrams
from retrieval.parse.office.drawing.alternatives import alternative_text, prefer_choices
from retrieval.parse.office.slides.comments import comments
from retrieval.parse.office.slides.hidden_text import Palette, TextBackground, box, is_hidden_slide, is_off_slide
from retrieval.parse.office.slides.order import in_reading_order
from retrieval.parse.office.slides.text import BULLET, Line, LineReader

Shape = Any  # python-pptx has no common type for shapes
TITLES = (PP_PLACEHOLDER.TITLE, PP_PLACEHOLDER.CENTER_TITLE, PP_PLACEHOLDER.VERTICAL_TITLE)
HIDDEN_TEXT_NOTE = "text that nobody can see on a slide was left out"
COUNTERS = (PP_PLACEHOLDER.SLIDE_NUMBER, PP_PLACEHOLDER.DATE)
BLIP, EMBEDDED = qn("a:blip"), qn("r:embed")
DIAGRAM_DATA = f"{{{qn('r:id')[1:].partition('}')[0]}}}dm"


def read(source: IO[bytes], builder: DocumentBuilder) -> None:
    presentation = pptx.Presentation(package.normalise(source, builder.limits))
    builder.set_title(presentation.core_properties.title)
    reader = Reader(builder, presentation)
    hidden = 0
    for number, slide in enumerate(presentation.slides, 1):
        hidden += is_hidden_slide(slide)
        builder.page = number
        builder.set_headings(())
        reader.read(slide)
    visibility.note_hidden(builder, "slide", hidden)


class Reader:
    """Reads the slides of one presentation."""

    def __init__(self, builder: DocumentBuilder, presentation: Any) -> None:
        self._builder, self._part = builder, presentation.part
        self._width, self._height = presentation.slide_width or 0, presentation.slide_height or 0
        self._footers = set[str]()  # written so far: they are the same on most slides

    def read(self, slide: Slide) -> None:
        prefer_choices(slide.element)
        content = SlideContent(slide, self._builder)
        shapes = list(_ordered(shape for shape in slide.shapes if not self._is_hidden(shape)))
        for shape in shapes:
            if _role(shape) in TITLES:
                self._builder.add_heading("\n".join(line.text for line in content.lines(shape)), 1)
        for shape in shapes:
            if _role(shape) == PP_PLACEHOLDER.FOOTER:
                self._footer(content.lines(shape))
            elif _role(shape) not in TITLES + COUNTERS:
                content.write(shape)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame:
            self._builder.add_block("paragraph", slide.notes_slide.notes_text_frame.text)
        for comment in comments(slide.part, self._part):
            self._builder.add_block("paragraph", comment)
        if content.reader.hidden:
            self._builder.add_note(HIDDEN_TEXT_NOTE)

    def _is_hidden(self, shape: Shape) -> bool:
        off_slide = is_off_slide(shape, self._width, self._height)
        if off_slide:
            self._builder.add_note(HIDDEN_TEXT_NOTE)
        return off_slide

    def _footer(self, lines: list[Line]) -> None:
        text = "\n".join(line.text for line in lines)
        if text not in self._footers:
            self._footers.add(text)
            self._builder.add_block("paragraph", text)


class SlideContent:
    """Adds the shapes of one slide to the builder."""

    def __init__(self, slide: Slide, builder: DocumentBuilder) -> None:
        self.reader = LineReader(slide.part)
        self._slide, self._builder, self._palette = slide, builder, Palette(slide)

    def lines(self, shape: Shape) -> list[Line]:
        return self.reader.lines(shape.text_frame, TextBackground(self._slide, shape, self._palette))

    def write(self, shape: Shape) -> None:
        if shape.has_text_frame:
            self._text(self.lines(shape))
        elif shape.has_table:
            self._table(shape)
        elif shape.has_chart:
            charts.write(shape.chart._chartSpace, self._builder)
        for found in shape._element.iter(diagrams.DATA):
            self._diagram(found.get(DIAGRAM_DATA, ""))
        for properties in shape._element.xpath("./*/p:cNvPr"):
            self._builder.add_block("paragraph", alternative_text(properties))
        for found in shape._element.iter(BLIP):
            self._picture(found.get(EMBEDDED, ""))

    def _picture(self, relation: str) -> None:
        found = self._slide.part.rels.get(relation)
        if found is not None and not found.is_external:
            self._builder.add_picture(found.target_part.blob)

    def _text(self, lines: list[Line]) -> None:
        if len(lines) > 1:
            self._builder.add_block("list", "\n".join(f"{'  ' * line.level}{line.label} {line.text}" for line in lines))
        for line in lines if len(lines) == 1 else ():
            self._builder.add_block("paragraph", line.text if line.label == BULLET else f"{line.label} {line.text}")

    def _table(self, shape: Shape) -> None:
        headed = bool(shape.table.first_row)
        rows = [
            [
                Cell(self._cell(shape, cell), cell.span_height, cell.span_width, headed and not number)
                for cell in row.cells
                if not cell.is_spanned
            ]
            for number, row in enumerate(shape.table.rows)
        ]
        self._builder.add_block("table", tables.render(rows))

    def _cell(self, shape: Shape, cell: Any) -> str:
        background = TextBackground(self._slide, shape, self._palette, cell)
        return "\n".join(
            line.text if line.label == BULLET else f"{line.label} {line.text}" for line in self.reader.lines(cell.text_frame, background)
        )

    def _diagram(self, relation: str) -> None:
        found = self._slide.part.rels.get(relation)
        if found is not None and not found.is_external:
            self._builder.add_block("list", "\n".join(diagrams.lines(parse_xml(found.target_part.blob))))


def _ordered(shapes: Any) -> Iterator[Shape]:
    """In reading order; those of a group stay together."""
    for shape in in_reading_order([(box(shape), shape) for shape in shapes]):
        if isinstance(shape, GroupShape):
            yield from _ordered(shape.shapes)
        else:
            yield shape


def _role(shape: Shape) -> PP_PLACEHOLDER | None:
    return shape.placeholder_format.type if shape.is_placeholder else None
