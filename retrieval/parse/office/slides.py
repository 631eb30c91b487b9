"""PowerPoint (.pptx): a slide is a page, its title a heading; what the speaker notes comes after what the slide shows."""

from collections.abc import Iterable, Iterator
from typing import IO, Any

import pptx
from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.shapes.group import GroupShape
from pptx.slide import Slide

from retrieval.parse.common import archive, tables
from retrieval.parse.common.draft import Draft
from retrieval.parse.office.slides_hidden_text import Ground, Palette, hidden_slide, outside

Shape = Any  # python-pptx has no common type of what a slide holds
TITLES = (PP_PLACEHOLDER.TITLE, PP_PLACEHOLDER.CENTER_TITLE, PP_PLACEHOLDER.VERTICAL_TITLE)
UNSEEN = "text that nobody can see on a slide was left out"
FURNITURE = (PP_PLACEHOLDER.SLIDE_NUMBER, PP_PLACEHOLDER.FOOTER, PP_PLACEHOLDER.DATE)


def read(source: IO[bytes], draft: Draft) -> None:
    with archive.open_archive(source, draft.limits) as zipped:
        archive.forbid_doctype(zipped)
    presentation = pptx.Presentation(source)
    draft.title(presentation.core_properties.title)
    reader = Reader(draft, presentation.slide_width or 0, presentation.slide_height or 0)
    hidden = 0
    for number, slide in enumerate(presentation.slides, 1):
        if hidden_slide(slide):
            hidden += 1
        else:
            draft.page = number
            draft.under(())
            reader.read(slide)
    if hidden:
        draft.note(f"{hidden} hidden slides were left out" if hidden > 1 else "1 hidden slide was left out")


class Reader:
    """Reads slides of one size."""

    def __init__(self, draft: Draft, width: int, height: int) -> None:
        self._draft, self._width, self._height = draft, width, height

    def read(self, slide: Slide) -> None:
        seen = [shape for shape in slide.shapes if not self._unseen(shape)]
        shapes, palette = sorted(_flat(seen), key=_place), Palette(slide)
        for shape in shapes:
            if _role(shape) in TITLES:
                self._draft.heading("\n".join(text for _, text in self._lines(shape.text_frame, Ground(slide, shape, palette))), 1)
        for shape in shapes:
            if _role(shape) not in TITLES + FURNITURE:
                self._shape(shape, slide, palette)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame:
            self._draft.add("paragraph", slide.notes_slide.notes_text_frame.text)

    def _unseen(self, shape: Shape) -> bool:
        beside = outside(shape, self._width, self._height)
        if beside:
            self._draft.note(UNSEEN)
        return beside

    def _shape(self, shape: Shape, slide: Slide, palette: Palette) -> None:
        if shape.has_text_frame:
            self._text(self._lines(shape.text_frame, Ground(slide, shape, palette)))
        elif shape.has_table:
            rows = [[self._cell(cell, Ground(slide, shape, palette, cell)) for cell in row.cells] for row in shape.table.rows]
            self._draft.add("table", tables.render(rows, header=bool(shape.table.first_row)))
        elif shape.has_chart and shape.chart.has_title:
            self._draft.add("paragraph", shape.chart.chart_title.text_frame.text)

    def _cell(self, cell: Any, ground: Ground) -> str:
        return "\n".join(text for _, text in self._lines(cell.text_frame, ground))

    def _lines(self, frame: Any, ground: Ground) -> list[tuple[int, str]]:
        """Level and text of each paragraph that says something."""
        lines = list[tuple[int, str]]()
        for paragraph in frame.paragraphs:
            parts = paragraph._p.content_children
            hidden = [part for part in parts if part.text.strip() and ground.hides(part)]
            if hidden:
                self._draft.note(UNSEEN)
            text = tables.flat("".join(part.text for part in parts if part not in hidden))
            if text:
                lines.append((paragraph.level, text))
        return lines

    def _text(self, lines: list[tuple[int, str]]) -> None:
        if len(lines) > 1:
            self._draft.add("list", "\n".join(f"{'  ' * level}- {text}" for level, text in lines))
        else:
            self._draft.add("paragraph", "".join(text for _, text in lines))


def _flat(shapes: Iterable[Shape]) -> Iterator[Shape]:
    for shape in shapes:
        if isinstance(shape, GroupShape):
            yield from _flat(shape.shapes)
        else:
            yield shape


def _place(shape: Shape) -> tuple[int, int]:
    """From top to bottom, from left to right."""
    return shape.top or 0, shape.left or 0


def _role(shape: Shape) -> PP_PLACEHOLDER | None:
    return shape.placeholder_format.type if shape.is_placeholder else None
