"""Reads the text of a PDF page from PDFium, as lines."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from retrieval.parse.pdf.page.geometry import IDENTITY, Box, Matrix, apply, upright
from retrieval.parse.pdf.page.glyphs import is_shattered, lines_of_glyphs
from retrieval.parse.pdf.page.lines import HYPHEN, PIECE_GAP, Line, Word, widest_gap
from retrieval.parse.pdf.page.objects import address_of_text

SAMPLE = 8  # letters of a page whose direction is looked at
FAR_BACK = 4  # line heights to the left: another line begins
NARROW_LETTER = 0.36  # of the line height: most words' letters are wider on average
MIN_SIZE = 1.2  # points: smaller text is unreadable
_LINE = re.compile(f"[^\r\n{HYPHEN}]+{HYPHEN}?|{HYPHEN}")
_WORD = re.compile(r"\S+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UPRIGHT_SCRIPT = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")  # written from top to bottom, too
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")

Span = tuple[int, int]  # of characters


@dataclass(frozen=True, slots=True)
class PageText:
    lines: list[Line]  # in PDFium's reading order, with most of the text upright
    matrix: Matrix  # from the coordinates of the page to theirs


def page_text(page: pdfium.PdfPage, hidden: set[int], by_word: Sequence[Box] = ()) -> PageText:
    """`hidden`: addresses of text objects to leave out. `by_word`: places, in page coordinates, where each
    word is wanted by itself; elsewhere those without a wide gap between them may be given as one."""
    box, text_page = page.get_bbox(), page.get_textpage()
    text = _visible_text(text_page, hidden)
    reader = _Boxes(text_page, _usual_rotation(text_page, text), box)
    found = list(_lines(text, reader, by_word))
    if reader.misread or is_shattered(found):
        found = lines_of_glyphs(text, reader.box)
    text_page.close()
    shown = apply(reader.matrix, box)
    return PageText([line for line in found if line.size >= MIN_SIZE and _on_page(line, shown)], reader.matrix)


def _usual_rotation(text_page: pdfium.PdfTextPage, text: str) -> int:
    """That of most of its letters. What the file says of its pages' rotation does not matter: tables stand sideways on upright pages."""
    sample = (index for index in range(0, len(text), max(len(text) // SAMPLE, 1)) if text[index].strip())
    found = Counter(_rotation(text_page, index) for index in sample)
    return found.most_common(1)[0][0] if found else 0


def _rotation(text_page: pdfium.PdfTextPage, index: int) -> int:
    """Degrees, a multiple of 90, by which to turn the page clockwise so that a character is upright."""
    return -round(math.degrees(raw.FPDFText_GetCharAngle(text_page, index)) / 90) * 90 % 360


def _visible_text(text_page: pdfium.PdfTextPage, hidden: set[int]) -> str:
    """One character for each of PDFium's; a space for a hidden one."""
    count = text_page.count_chars()
    text = text_page.get_text_range() if count else ""
    if len(text) != count:
        text = "".join(_unit(raw.FPDFText_GetUnicode(text_page, index)) for index in range(count))
    if not hidden:
        return text
    return "".join(" " if char not in "\r\n" and address_of_text(text_page, index) in hidden else char for index, char in enumerate(text))


def _unit(code: int) -> str:
    return chr(code) if 0 < code < 0x110000 else " "


class _Boxes:
    """Boxes of a page's characters. One structure is written again and again: allocating one for each character is slow."""

    def __init__(self, text_page: pdfium.PdfTextPage, rotation: int, box: Box) -> None:
        self._text_page, self._page, self._rect = text_page, text_page.raw, raw.FS_RECTF()
        self._rotation, self.matrix = rotation, upright(rotation, box)
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
        for at in range(1, len(spans)):
            start, end = spans[at - 1]
            if lefts[at] - lefts[at - 1] > limit + (end - start) * letter:
                gap = lefts[at] - self.box(end - 1)[2]
                if gap > limit:
                    yield at, gap

    def is_upright(self, index: int) -> bool:
        return _rotation(self._text_page, index) == self._rotation


def _lines(text: str, reader: _Boxes, by_word: Sequence[Box]) -> Iterator[Line]:
    coded = bool(_SURROGATE.search(text))
    simple = reader.matrix is IDENTITY and not _RIGHT_TO_LEFT.search(text)
    near = by_word if simple else [apply(reader.matrix, box) for box in by_word]
    for match in _LINE.finditer(text):
        spans = [word.span() for word in _WORD.finditer(text, *match.span())]
        if not spans:
            continue
        parts = [_upright_line(text, *part, reader, near) for part in _parts(spans, reader)] if simple else [_any_line(text, spans, reader)]
        for line in parts:
            yield line._replace(words=tuple(map(_decoded, line.words))) if coded else line


def _parts(spans: list[Span], reader: _Boxes) -> list[tuple[list[Span], list[float]]]:
    """Words with their left edges. PDFium takes the lines of two columns for one where their heights overlap: cuts where the text goes back
    to the left."""
    lefts = reader.lefts(spans)
    if lefts == sorted(lefts):
        return [(spans, lefts)]
    far = FAR_BACK * reader.height(spans[0][0])
    cuts = [at for at, (before, after) in enumerate(pairwise(lefts), 1) if before - after > far]
    return [(spans[begin:end], lefts[begin:end]) for begin, end in pairwise([0, *cuts, len(spans)])]


def _upright_line(text: str, spans: list[Span], lefts: list[float], reader: _Boxes, near: Sequence[Box]) -> Line:
    """From left to right. Words without a wide gap between them become one, except `near` what needs them apart: that is faster."""
    first, middle, last = reader.box(spans[0][0]), reader.box(spans[len(spans) // 2][0]), reader.box(spans[-1][1] - 1)
    if _runs_sideways(first, last, middle):
        return _any_line(text, spans, reader)
    size, y = _size(first, middle, last), (first[3] + last[1]) / 2
    if near and any(bottom <= y <= top for _, bottom, _, top in near):
        return _any_line(text, spans, reader)
    words, begin, widest = list[Word](), 0, 0.0
    for at, gap in reader.wide_gaps(spans, lefts, size):
        widest = max(widest, gap)
        words.append(Word(_spaced(text, spans[begin][0], spans[at - 1][1]), lefts[begin], lefts[at] - gap))
        begin = at
    words.append(Word(_spaced(text, spans[begin][0], spans[-1][1]), lefts[begin], last[2]))
    return Line(tuple(words), min(first[0], last[0]), first[3], max(first[2], last[2]), last[1], size, gap=widest)


def _spaced(text: str, start: int, end: int) -> str:
    return " ".join(text[start:end].split())


def _any_line(text: str, spans: list[Span], reader: _Boxes) -> Line:
    boxes = [(reader.box(start), reader.box(end - 1)) for start, end in spans]
    words = tuple(
        Word(text[start:end], min(first[0], last[0]), max(first[2], last[2]))
        for (start, end), (first, last) in zip(spans, boxes, strict=True)
    )
    first, middle, last = boxes[0][0], boxes[len(boxes) // 2][0], boxes[-1][1]
    if _runs_sideways(first, last, middle):
        reader.misread |= reader.is_upright(spans[0][0]) and not _UPRIGHT_SCRIPT.search(text, spans[0][0], spans[-1][1])
        return _sideways(words, boxes)
    left, right = min(first[0], words[-1].left), max(last[2], words[0].right)
    return Line(words, left, first[3], right, last[1], _size(first, middle, last), gap=widest_gap(words))


def _size(first: Box, middle: Box, last: Box) -> float:
    """Median height: a bullet or bracket may be in another font."""
    return sorted((first[3] - first[1], middle[3] - middle[1], last[3] - last[1]))[1]


def _runs_sideways(first: Box, last: Box, middle: Box) -> bool:
    if abs(last[1] - first[1]) <= 2 * (first[3] - first[1]):
        return False
    across = max(abs(last[0] - first[0]), abs(middle[0] - first[0]))
    return abs(last[1] - first[1]) > max(2 * across, 2 * (first[2] - first[0]))


def _sideways(words: tuple[Word, ...], boxes: list[tuple[Box, Box]]) -> Line:
    corners = [box for pair in boxes for box in pair]
    left, bottom = min(box[0] for box in corners), min(box[1] for box in corners)
    right, top = max(box[2] for box in corners), max(box[3] for box in corners)
    return Line(words, left, top, right, bottom, right - left, sideways=True)


def _decoded(word: Word) -> Word:
    """PDFium gives characters beyond U+FFFF as surrogates."""
    return word._replace(text=word.text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))


def _on_page(line: Line, box: Box) -> bool:
    """Whether any part of the line is on the page."""
    left, bottom, right, top = box
    return line.right > left and line.left < right and line.top > bottom and line.bottom < top
