"""Detects hidden text of a Word document: marked hidden, tiny, or in the colour of its background."""

from typing import Literal

from docx.document import Document
from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement as Element

from retrieval.parse.common.colours import UNKNOWN, WHITE, look_alike, parse_colour
from retrieval.parse.office.word.styles import Styles, TextStyle, shading, value_of

CELL, TABLE, BOX, TEXT = map(qn, ("w:tc", "w:tbl", "w:txbxContent", "w:t"))
TINY_SIZE = 4  # half-points: text up to this size is unreadable


class HiddenText:
    """Hidden text of one document. The background of text boxes and of table styles is UNKNOWN: text on it counts as visible."""

    def __init__(self, document: Document, styles: Styles) -> None:
        self.found = False  # whether hidden text was found so far
        self._styles = styles
        self._page_colour = _page_colour(document)

    def visible_part(self, run: Element, style: TextStyle) -> Literal["all", "boxes", "nothing"]:
        """What of a run is visible. "boxes": text boxes in it, but not its own text."""
        tiny = style.size is not None and style.size <= TINY_SIZE
        if not (style.hidden or tiny or self._is_background_coloured(run, style)):
            return "all"
        self.found = self.found or any((text.text or "").strip() for text in run.iter(TEXT))
        return "nothing" if style.hidden else "boxes"

    def _is_background_coloured(self, run: Element, style: TextStyle) -> bool:
        return style.colour not in (None, UNKNOWN) and look_alike(style.colour, style.background or self._block_background(run, style))

    def _block_background(self, run: Element, style: TextStyle) -> str:
        """The colour behind the paragraph."""
        if style.paragraph_background:
            return style.paragraph_background
        for above in run.iterancestors(CELL, TABLE, BOX):
            if above.tag == BOX:
                return UNKNOWN
            if colour := shading(above, "w:tcPr/w:shd") or shading(above, "w:tblPr/w:shd"):
                return colour
            if any(shading(style, "") for style in self._styles.chain(value_of(above, "w:tblPr/w:tblStyle"))):
                return UNKNOWN
        return self._page_colour


def _page_colour(document: Document) -> str:
    """The background of the page is displayed only if the settings say so."""
    ground = document.element.find(qn("w:background"))
    shown = document.settings.element.find(qn("w:displayBackgroundShape"))
    return WHITE if ground is None or shown is None else parse_colour(ground.get(qn("w:color"), ""))
