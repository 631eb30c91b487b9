"""Reads the text of a PDF page from PDFium, as lines."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from retrieval.parse.pdf.page import bidi
from retrieval.parse.pdf.page.boxes import Boxes, Span, rotation_of
from retrieval.parse.pdf.page.geometry import IDENTITY, Box, Matrix, apply, compose, laid_down, mirrored
from retrieval.parse.pdf.page.glyphs import is_shattered, lines_of_glyphs
from retrieval.parse.pdf.page.lines import HYPHEN, Line, Word, widest_gap
from retrieval.parse.pdf.page.objects import address_of_text
from retrieval.parse.pdf.page.raised import with_places

SAMPLE = 8  # letters of a page whose direction is looked at
FAR_BACK = 4  # line heights to the left: another line begins
MIN_SIZE = 1.2  # points: smaller text is unreadable
_LINE = re.compile(f"[^\r\n{HYPHEN}]+{HYPHEN}?|{HYPHEN}")
_WORD = re.compile(r"\S+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UPRIGHT_SCRIPT = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")  # written from top to bottom, too


@dataclass(frozen=True, slots=True)
class PageText:
    """Most of the text is upright. Pages that are read from right to left are mirrored, and those whose lines run downwards are laid down:
    so lines, columns and tables begin at the left on all pages."""

    lines: list[Line]  # in PDFium's reading order
    matrix: Matrix  # from the coordinates of the page to theirs


def page_text(page: pdfium.PdfPage, hidden: set[int], by_word: Sequence[Box] = ()) -> PageText:
    """`hidden`: addresses of text objects to leave out. `by_word`: places, in page coordinates, where each
    word is wanted by itself; elsewhere those without a wide gap between them may be given as one."""
    box, text_page = page.get_bbox(), page.get_textpage()
    text = _visible_text(text_page, hidden)
    reader = Boxes(text_page, _usual_rotation(text_page, text), box)
    text = with_places(text, reader.box)
    found = list(_lines(text, reader, by_word))
    if _is_vertical(found):
        reader.matrix = compose(reader.matrix, laid_down(apply(reader.matrix, box)))
        found = list(_lines(text, reader, by_word))
    if reader.misread or is_shattered(found):
        found = lines_of_glyphs(text, reader.box)
    text_page.close()
    shown = apply(reader.matrix, box)
    seen = [line for line in found if line.size >= MIN_SIZE and _on_page(line, shown)]
    if not reader.leftwards:
        return PageText(seen, reader.matrix)
    mirror = mirrored(shown)
    return PageText([_mirrored(line, mirror) for line in seen], compose(reader.matrix, mirror))


def _is_vertical(lines: Sequence[Line]) -> bool:
    """Whether most of the text runs downwards, as Chinese and Japanese may."""
    downwards = sum(len(line.text) for line in lines if line.sideways and _UPRIGHT_SCRIPT.search(line.text))
    return downwards > 0 and downwards * 2 > sum(len(line.text) for line in lines)


def _mirrored(line: Line, mirror: Matrix) -> Line:
    words = tuple(Word(word.text, *_turned(word.left, word.right, mirror)) for word in line.words)
    left, right = _turned(line.left, line.right, mirror)
    return line._replace(words=words, left=left, right=right)


def _turned(left: float, right: float, mirror: Matrix) -> tuple[float, float]:
    return mirror[4] - right, mirror[4] - left


def _usual_rotation(text_page: pdfium.PdfTextPage, text: str) -> int:
    """That of most of its letters. What the file says of its pages' rotation does not matter: tables stand sideways on upright pages."""
    sample = (index for index in range(0, len(text), max(len(text) // SAMPLE, 1)) if text[index].strip())
    found = Counter(rotation_of(text_page, index) for index in sample)
    return found.most_common(1)[0][0] if found else 0


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


def _lines(text: str, reader: Boxes, by_word: Sequence[Box]) -> Iterator[Line]:
    coded = bool(_SURROGATE.search(text))
    mixed = bool(bidi.RIGHT_TO_LEFT.search(text))
    simple, reader.leftwards = reader.matrix is IDENTITY and not mixed, mixed and bidi.is_leftward(text)
    near = by_word if simple else [apply(reader.matrix, box) for box in by_word]
    for match in _LINE.finditer(text):
        spans = [word.span() for word in _WORD.finditer(text, *match.span())]
        if not spans:
            continue
        parts = [_upright_line(text, *part, reader, near) for part in _parts(spans, reader)] if simple else [_any_line(text, spans, reader)]
        for line in parts:
            yield line._replace(words=tuple(map(_decoded, line.words))) if coded else line


def _parts(spans: list[Span], reader: Boxes) -> list[tuple[list[Span], list[float]]]:
    """Words with their left edges. PDFium takes the lines of two columns for one where their heights overlap: cuts where the text goes back
    to the left."""
    lefts = reader.lefts(spans)
    if lefts == sorted(lefts):
        return [(spans, lefts)]
    far = FAR_BACK * reader.height(spans[0][0])
    cuts = [at for at, (before, after) in enumerate(pairwise(lefts), 1) if before - after > far]
    return [(spans[begin:end], lefts[begin:end]) for begin, end in pairwise([0, *cuts, len(spans)])]


def _upright_line(text: str, spans: list[Span], lefts: list[float], reader: Boxes, near: Sequence[Box]) -> Line:
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


def _any_line(text: str, spans: list[Span], reader: Boxes) -> Line:
    boxes = [(reader.box(start), reader.box(end - 1)) for start, end in spans]
    words = tuple(
        Word(text[start:end], min(first[0], last[0]), max(first[2], last[2]))
        for (start, end), (first, last) in zip(spans, boxes, strict=True)
    )
    first, middle, last = boxes[0][0], boxes[len(boxes) // 2][0], boxes[-1][1]
    if _runs_sideways(first, last, middle):
        reader.misread |= reader.is_upright(spans[0][0]) and not _UPRIGHT_SCRIPT.search(text, spans[0][0], spans[-1][1])
        return _sideways(words, boxes)
    if bidi.RIGHT_TO_LEFT.search(text, spans[0][0], spans[-1][1]):
        return _leftward_line(text, spans, reader, _size(first, middle, last))
    left, right = min(first[0], words[-1].left), max(last[2], words[0].right)
    return Line(words, left, first[3], right, last[1], _size(first, middle, last), gap=widest_gap(words))


def _leftward_line(text: str, spans: list[Span], reader: Boxes, size: float) -> Line:
    boxes = [reader.box(index) for index in range(spans[0][0], spans[-1][1])]
    glyphs = bidi.glyphs(list(zip(text[spans[0][0] : spans[-1][1]], boxes, strict=True)), size)
    words = tuple(_word(word) for word in bidi.logical(glyphs, page_leftwards=reader.leftwards))
    left, right = min(word.left for word in words), max(word.right for word in words)
    return Line(words, left, max(box[3] for box in boxes), right, min(box[1] for box in boxes), size, gap=widest_gap(words))


def _word(glyphs: Sequence[bidi.Glyph]) -> Word:
    return Word("".join(glyph.text for glyph in glyphs), min(glyph.left for glyph in glyphs), max(glyph.right for glyph in glyphs))


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
