"""PowerPoint (.pptx): a slide is a page, its title a heading; what the speaker notes comes after what the slide shows."""

from collections.abc import Iterable, Iterator
from typing import IO, Any

import pptx
from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.shapes.group import GroupShape
from pptx.slide import Slide
from pptx.text.text import TextFrame

from retrieval.parse import archive, tables
from retrieval.parse.draft import Draft

Shape = Any  # python-pptx has no common type of what a slide holds
TITLES = (PP_PLACEHOLDER.TITLE, PP_PLACEHOLDER.CENTER_TITLE, PP_PLACEHOLDER.VERTICAL_TITLE)
FURNITURE = (PP_PLACEHOLDER.SLIDE_NUMBER, PP_PLACEHOLDER.FOOTER, PP_PLACEHOLDER.DATE)


def read(source: IO[bytes], draft: Draft) -> None:
    with archive.open_archive(source, draft.limits) as zipped:
        archive.forbid_doctype(zipped)
    presentation = pptx.Presentation(source)
    draft.title(presentation.core_properties.title)
    for number, slide in enumerate(presentation.slides, 1):
        draft.page = number
        draft.under(())
        _slide(slide, draft)


def _slide(slide: Slide, draft: Draft) -> None:
    shapes = sorted(_flat(slide.shapes), key=_place)
    for shape in shapes:
        if _role(shape) in TITLES:
            draft.heading(shape.text_frame.text, 1)
    for shape in shapes:
        if _role(shape) not in TITLES + FURNITURE:
            _shape(shape, draft)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame:
        draft.add("paragraph", slide.notes_slide.notes_text_frame.text)


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


def _shape(shape: Shape, draft: Draft) -> None:
    if shape.has_text_frame:
        _text(shape.text_frame, draft)
    elif shape.has_table:
        rows = [[cell.text for cell in row.cells] for row in shape.table.rows]
        draft.add("table", tables.render(rows, header=bool(shape.table.first_row)))
    elif shape.has_chart and shape.chart.has_title:
        draft.add("paragraph", shape.chart.chart_title.text_frame.text)


def _text(frame: TextFrame, draft: Draft) -> None:
    lines = [(paragraph.level, tables.flat(paragraph.text)) for paragraph in frame.paragraphs]
    lines = [(level, text) for level, text in lines if text]
    if len(lines) > 1:
        draft.add("list", "\n".join(f"{'  ' * level}- {text}" for level, text in lines))
    else:
        draft.add("paragraph", "".join(text for _, text in lines))
