"""Where the characters of a PDF page stand."""

import math
from collections.abc import Iterator, Sequence

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from retrieval.parse.pdf.page.geometry import IDENTITY, Box, apply, upright
from retrieval.parse.pdf.page.lines import PIECE_GAP

NARROW_LETTER = 0.36  # of the line height: most words' letters are wider on average

Span = tuple[int, int]  # of characters


def rotation_of(text_page: pdfium.PdfTextPage, index: int) -> int:
    """Degrees, a multiple of 90, by which to turn the page clockwise so that a character is upright."""
    return -round(math.degrees(raw.FPDFText_GetCharAngle(text_page, index)) / 90) * 90 % 360


class Boxes:
    """Boxes of a page's characters. One structure is written again and again: allocating one for each character is slow."""

    def __init__(self, text_page: pdfium.PdfTextPage, rotation: int, box: Box) -> None:
        self._text_page, self._page, self._rect = text_page, text_page.raw, raw.FS_RECTF()
        self._rotation, self.matrix = rotation, upright(rotation, box)
        self.leftwards = False  # the page is read from right to left
        self.misread = False  # PDFium took upright letters below each other for a line

    def box(self, index: int) -> Box:
        """Of one character: as wide as its advance, as high as its font."""
        rect = self._rect
        raw.FPDFText_GetLooseCharBox(self._page, index, rect)
        box = rect.left, rect.bottom, rect.right, rect.top
        return box if self.matrix is IDENTITY else apply(self.matrix, box)

    def height(self, index: int) -> float:
        _, bottom, _, top = self.box(index)
        return top - bottom

    def lefts(self, spans: Sequence[Span]) -> list[float]:
        """Left edge of each word that runs from left to right on an upright page."""
        get, page, rect, found = raw.FPDFText_GetLooseCharBox, self._page, self._rect, list[float]()
        for start, _ in spans:
            get(page, start, rect)
            found.append(rect.left)
        return found

    def wide_gaps(self, spans: Sequence[Span], lefts: Sequence[float], size: float) -> Iterator[tuple[int, float]]:
        """Number of the word after each gap wider than PIECE_GAP, and the gap. Measured only where the next word is far enough away."""
        limit, letter = PIECE_GAP * size, NARROW_LETTER * size
        get, page, rect, last = raw.FPDFText_GetLooseCharBox, self._page, self._rect, lefts[0]
        for at, ((start, end), left) in enumerate(zip(spans, lefts[1:]), 1):  # noqa: B905 the last word has none after it
            if left - last > limit + (end - start) * letter:
                get(page, end - 1, rect)
                if left - rect.right > limit:
                    yield at, left - rect.right
            last = left

    def is_upright(self, index: int) -> bool:
        return rotation_of(self._text_page, index) == self._rotation
