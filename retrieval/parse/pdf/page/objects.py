"""What a PDF page draws besides its text: images, ruling lines, and which of its text objects nobody can see."""

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from retrieval.parse.pdf.page.geometry import IDENTITY, Box, Matrix, apply, compose

WHITE = 240  # of 255: channel values from here on count as white
MIN_ALPHA = 13  # of 255: text with less opacity counts as invisible
RENDER_PIXELS = 2000  # of the longer side of the page when it is rendered
MAX_DEPTH = 3  # of nested form XObjects
MAX_PATHS = 5_000  # of a page that are searched for ruling lines: maps and drawings have more
RECTANGLE = (4, 5)  # segments of a path
MAX_SEGMENTS = 10_000  # of the paths of a page
RULE_WIDTH = 3.0  # points: a longer shape this thin is a ruling line
INVISIBLE = (raw.FPDF_TEXTRENDERMODE_INVISIBLE, raw.FPDF_TEXTRENDERMODE_CLIP)


class _Found(NamedTuple):
    item: object  # FPDF_PAGEOBJECT
    matrix: Matrix  # from the coordinates of the item to those of the page


_Count = Callable[[object], int]
_Get = Callable[[object, int], object]


@dataclass(frozen=True, slots=True)
class Drawn:
    """Boxes are in page coordinates, before the page's rotation."""

    hidden: set[int]  # addresses of text objects
    images: list[Box]
    paths: int  # number of shapes
    rules: list[Box]  # horizontal and vertical lines, as boxes without width or without height


def drawn(page: pdfium.PdfPage) -> Drawn:
    """Visits every object of the page once."""
    visitor = _Visitor()
    visitor.visit(page.raw, raw.FPDFPage_CountObjects, raw.FPDFPage_GetObject, IDENTITY, 0)
    images = [_bounds(found) for found in visitor.images]
    hidden = visitor.hidden | {_address(found.item) for found in visitor.invisible if not _over_image(_bounds(found), images)}
    if visitor.white:
        hidden |= _white_on_white(page, visitor.white)
    rules = list(_rules(visitor.paths)) if len(visitor.paths) <= MAX_PATHS else []
    return Drawn(hidden, images, len(visitor.paths), rules)


class _Visitor:
    """Sorts the objects of a page: what takes longer to look at is left for later."""

    def __init__(self) -> None:
        self.hidden = set[int]()
        self.white, self.invisible = list[_Found](), list[_Found]()  # text
        self.images, self.paths = list[_Found](), list[_Found]()
        self._channels = ctypes.c_uint(), ctypes.c_uint(), ctypes.c_uint(), ctypes.c_uint()  # allocating them for each text is slow

    def visit(self, holder: object, count: _Count, get: _Get, matrix: Matrix, depth: int) -> None:
        """`depth` of nesting in form XObjects; 0: on the page itself."""
        for index in range(count(holder)):
            item = get(holder, index)
            kind = raw.FPDFPageObj_GetType(item)
            if kind == raw.FPDF_PAGEOBJ_TEXT:
                self._judge_text(item, matrix, depth)
            elif kind == raw.FPDF_PAGEOBJ_PATH:
                self.paths.append(_Found(item, matrix))
            elif kind == raw.FPDF_PAGEOBJ_IMAGE:
                self.images.append(_Found(item, matrix))
            elif kind == raw.FPDF_PAGEOBJ_FORM and depth + 1 < MAX_DEPTH:
                inner = compose(_matrix(item), matrix)
                self.visit(item, raw.FPDFFormObj_CountObjects, raw.FPDFFormObj_GetObject, inner, depth + 1)

    def _judge_text(self, item: object, matrix: Matrix, depth: int) -> None:
        if raw.FPDFTextObj_GetTextRenderMode(item) in INVISIBLE:
            self.invisible.append(_Found(item, matrix))
        elif raw.FPDFPageObj_GetFillColor(item, *self._channels):
            red, green, blue, alpha = self._channels
            if alpha.value < MIN_ALPHA:
                self.hidden.add(_address(item))
            elif not depth and red.value >= WHITE and green.value >= WHITE and blue.value >= WHITE:
                self.white.append(_Found(item, matrix))  # nested ones may be painted over anything


def address_of_text(text_page: pdfium.PdfTextPage, index: int) -> int:
    """Address of the text object that a character belongs to."""
    return _address(raw.FPDFText_GetTextObject(text_page, index))


def _matrix(item: object) -> Matrix:
    made = raw.FS_MATRIX()
    if not raw.FPDFPageObj_GetMatrix(item, made):
        return IDENTITY
    return made.a, made.b, made.c, made.d, made.e, made.f


def _bounds(found: _Found) -> Box:
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    raw.FPDFPageObj_GetBounds(found.item, left, bottom, right, top)
    box = left.value, bottom.value, right.value, top.value
    return box if found.matrix is IDENTITY else apply(found.matrix, box)


def _over_image(box: Box, images: list[Box]) -> bool:
    """Invisible text over an image is what a scanner recognised (OCR)."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return any(left <= x <= right and bottom <= y <= top for left, bottom, right, top in images)


def _white_on_white(page: pdfium.PdfPage, items: list[_Found]) -> set[int]:
    """Addresses of items in whose area the rendered page is all white. Rotated pages are not checked."""
    if page.get_rotation():
        return set()
    edge, _, _, roof = page.get_bbox()
    scale = min(1.0, RENDER_PIXELS / max(*page.get_size(), 1))
    bitmap = page.render(scale=scale, grayscale=True)  # pyright: ignore[reportArgumentType] - it takes fractions
    pixels, found = bytes(bitmap.buffer), set[int]()
    for item in items:
        left, bottom, right, top = _bounds(item)
        rows = range(max(int((roof - top) * scale), 0), min(int((roof - bottom) * scale) + 1, bitmap.height))
        columns = max(int((left - edge) * scale), 0), min(int((right - edge) * scale) + 1, bitmap.width)
        shown = (pixels[row * bitmap.stride + columns[0] : row * bitmap.stride + columns[1]] for row in rows)
        if all(min(part, default=255) >= WHITE for part in shown):
            found.add(_address(item.item))
    bitmap.close()
    return found


def _rules(paths: list[_Found]) -> Iterator[Box]:
    left = MAX_SEGMENTS
    for found in paths:
        box = _bounds(found)
        width, height = box[2] - box[0], box[3] - box[1]
        if min(width, height) <= RULE_WIDTH:
            if max(width, height) > 2 * RULE_WIDTH:
                yield _thin(box)
        elif min(width, height) > 2 * RULE_WIDTH and left > 0:
            count = raw.FPDFPath_CountSegments(found.item)
            left -= count
            yield from _edges(box) if count in RECTANGLE and _has_straight_edges(found) else _straight_segments(found, min(count, left))


def _edges(box: Box) -> tuple[Box, Box, Box, Box]:
    left, bottom, right, top = box
    return (left, bottom, right, bottom), (left, top, right, top), (left, bottom, left, top), (right, bottom, right, top)


def _has_straight_edges(found: _Found) -> bool:
    second = raw.FPDFPath_GetPathSegment(found.item, 1)
    third = raw.FPDFPath_GetPathSegment(found.item, 2)
    return raw.FPDFPathSegment_GetType(second) == raw.FPDFPathSegment_GetType(third) == raw.FPDF_SEGMENT_LINETO


def _straight_segments(found: _Found, count: int) -> Iterator[Box]:
    """Horizontal and vertical segments of a path that draws several, as those of a grid."""
    x, y, matrix = ctypes.c_float(), ctypes.c_float(), _path_matrix(found)
    start = last = (0.0, 0.0)
    for index in range(count):
        segment = raw.FPDFPath_GetPathSegment(found.item, index)
        kind = raw.FPDFPathSegment_GetType(segment)
        if kind == raw.FPDF_SEGMENT_BEZIERTO:
            return  # a drawing
        raw.FPDFPathSegment_GetPoint(segment, x, y)
        point = x.value, y.value
        if kind == raw.FPDF_SEGMENT_MOVETO:
            start = point
        elif kind == raw.FPDF_SEGMENT_LINETO and (point[0] == last[0] or point[1] == last[1]):
            yield from _rule(matrix, last, point)
        if raw.FPDFPathSegment_GetClose(segment):
            yield from _rule(matrix, point, start)
        last = point


def _rule(matrix: Matrix, one: tuple[float, float], other: tuple[float, float]) -> Iterator[Box]:
    box = apply(matrix, (min(one[0], other[0]), min(one[1], other[1]), max(one[0], other[0]), max(one[1], other[1])))
    if min(box[2] - box[0], box[3] - box[1]) <= 1 < 2 * RULE_WIDTH < max(box[2] - box[0], box[3] - box[1]):
        yield _thin(box)


def _path_matrix(found: _Found) -> Matrix:
    """Points of a path are in its own coordinates, bounds are not."""
    return compose(_matrix(found.item), found.matrix)


def _thin(box: Box) -> Box:
    left, bottom, right, top = box
    if right - left >= top - bottom:
        return left, (bottom + top) / 2, right, (bottom + top) / 2
    return (left + right) / 2, bottom, (left + right) / 2, top


def _address(pointer: object) -> int:
    return ctypes.cast(pointer, ctypes.c_void_p).value or 0  # pyright: ignore[reportArgumentType]
