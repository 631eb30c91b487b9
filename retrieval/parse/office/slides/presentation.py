"""PowerPoint (.pptx): a slide is a page, its title a heading; speaker notes follow the slide's content."""

from collections.abc import Iterable, Iterator
from typing import IO, Any

import pptx
from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.shapes.group import GroupShape
from pptx.slide import Slide

from retrieval.parse.common import tables
from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.grid import Cell
from retrieval.parse.office import package
from retrieval.parse.office.slides.hidden_text import Palette, TextBackground, is_hidden_slide, is_off_slide

Shape = Any  # python-pptx has no common type for shapes
TITLES = (PP_PLACEHOLDER.TITLE, PP_PLACEHOLDER.CENTER_TITLE, PP_PLACEHOLDER.VERTICAL_TITLE)
HIDDEN_TEXT_NOTE = "text that nobody can see on a slide was left out"
FOOTERS = (PP_PLACEHOLDER.SLIDE_NUMBER, PP_PLACEHOLDER.FOOTER, PP_PLACEHOLDER.DATE)


def read(source: IO[bytes], builder: DocumentBuilder) -> None:
    presentation = pptx.Presentation(package.normalise(source, builder.limits))
    builder.set_title(presentation.core_properties.title)
    reader = Reader(builder, presentation.slide_width or 0, presentation.slide_height or 0)
    hidden = 0
    for number, slide in enumerate(presentation.slides, 1):
        if is_hidden_slide(slide):
            hidden += 1
        else:
            builder.page = number
            builder.set_headings(())
            reader.read(slide)
    if hidden:
        builder.add_note(f"{hidden} hidden slides were left out" if hidden > 1 else "1 hidden slide was left out")


class Reader:
    """Reads slides of one size."""

    def __init__(self, builder: DocumentBuilder, width: int, height: int) -> None:
        self._builder, self._width, self._height = builder, width, height

    def read(self, slide: Slide) -> None:
        seen = [shape for shape in slide.shapes if not self._is_hidden(shape)]
        shapes, palette = sorted(_flat(seen), key=_position), Palette(slide)
        for shape in shapes:
            if _role(shape) in TITLES:
                self._builder.add_heading(
                    "\n".join(text for _, text in self._lines(shape.text_frame, TextBackground(slide, shape, palette))), 1
                )
        for shape in shapes:
            if _role(shape) not in TITLES + FOOTERS:
                self._shape(shape, slide, palette)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame:
            self._builder.add_block("paragraph", slide.notes_slide.notes_text_frame.text)

    def _is_hidden(self, shape: Shape) -> bool:
        off_slide = is_off_slide(shape, self._width, self._height)
        if off_slide:
            self._builder.add_note(HIDDEN_TEXT_NOTE)
        return off_slide

    def _shape(self, shape: Shape, slide: Slide, palette: Palette) -> None:
        if shape.has_text_frame:
            self._text(self._lines(shape.text_frame, TextBackground(slide, shape, palette)))
        elif shape.has_table:
            self._table(shape, slide, palette)
        elif shape.has_chart and shape.chart.has_title:
            self._builder.add_block("paragraph", shape.chart.chart_title.text_frame.text)

    def _table(self, shape: Shape, slide: Slide, palette: Palette) -> None:
        headed = bool(shape.table.first_row)
        rows = [
            [
                Cell(
                    self._cell(cell, TextBackground(slide, shape, palette, cell)), cell.span_height, cell.span_width, headed and not number
                )
                for cell in row.cells
                if not cell.is_spanned
            ]
            for number, row in enumerate(shape.table.rows)
        ]
        self._builder.add_block("table", tables.render(rows))

    def _cell(self, cell: Any, background: TextBackground) -> str:
        return "\n".join(text for _, text in self._lines(cell.text_frame, background))

    def _lines(self, frame: Any, background: TextBackground) -> list[tuple[int, str]]:
        """Level and text of each paragraph with visible text."""
        lines = list[tuple[int, str]]()
        for paragraph in frame.paragraphs:
            parts = paragraph._p.content_children
            hidden = [part for part in parts if part.text.strip() and background.hides(part)]
            if hidden:
                self._builder.add_note(HIDDEN_TEXT_NOTE)
            text = tables.collapse_spaces("".join(part.text for part in parts if part not in hidden))
            if text:
                lines.append((paragraph.level, text))
        return lines

    def _text(self, lines: list[tuple[int, str]]) -> None:
        if len(lines) > 1:
            self._builder.add_block("list", "\n".join(f"{'  ' * level}- {text}" for level, text in lines))
        else:
            self._builder.add_block("paragraph", "".join(text for _, text in lines))


def _flat(shapes: Iterable[Shape]) -> Iterator[Shape]:
    for shape in shapes:
        if isinstance(shape, GroupShape):
            yield from _flat(shape.shapes)
        else:
            yield shape


def _position(shape: Shape) -> tuple[int, int]:
    """Sort key: top to bottom, then left to right."""
    return shape.top or 0, shape.left or 0


def _role(shape: Shape) -> PP_PLACEHOLDER | None:
    return shape.placeholder_format.type if shape.is_placeholder else None
