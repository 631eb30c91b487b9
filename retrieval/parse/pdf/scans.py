"""Pages that show their text in images: it is recognised where that is possible."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import pypdfium2 as pdfium

from retrieval.parse.pdf.ocr.page import recognise
from retrieval.parse.pdf.ocr.tesseract import Picture, Recogniser
from retrieval.parse.pdf.page.geometry import Box, Matrix, apply
from retrieval.parse.pdf.page.lines import Line, Word, line_of
from retrieval.parse.pdf.page.objects import Drawn

DPI, PREVIEW_DPI = 200, 36
PAPER = 200  # of 255: channel values from here on count as white
MAX_PIXELS = 4000  # of the longer side of a picture
MIN_PATHS = 50  # of a page without text: letters may be drawn as shapes
MIN_SHARE = 0.1  # of a page with text: a larger image may show more of it
MIN_PAPER = 0.6  # of the pixels of such an image are white: photographs have less
MIN_CHARACTERS = 20  # over an image: what it shows was recognised before


class ImageText(Enum):
    """What a page shows in images."""

    NONE = "nothing, as far as is known"
    READ = "text, which was recognised"
    UNREAD = "all that there is, and it was not recognised"
    BESIDE = "perhaps text, beside that which was read"


@dataclass(frozen=True, slots=True)
class ShownText:
    lines: list[Line]
    box: Box  # of the page, in their coordinates
    images: ImageText


def with_text_in_images(
    page: pdfium.PdfPage, lines: list[Line], seen: Drawn, matrix: Matrix, recogniser: Callable[[], Recogniser | None]
) -> ShownText:
    """`lines` and `matrix`: the page's text and the way to its coordinates."""
    box = apply(matrix, page.get_bbox())
    if lines:
        large = [image for image in seen.images if _share(image, page.get_bbox()) >= MIN_SHARE]
        wanted = bool(large) and not _has_text_over([apply(matrix, image) for image in large], lines) and _is_paper(page, large)
    else:
        wanted = bool(seen.images) or seen.paths >= MIN_PATHS
    if not wanted:
        return ShownText(lines, box, ImageText.NONE)
    opened = recogniser()
    if opened is None or not opened.has_time():
        return ShownText(lines, box, ImageText.BESIDE if lines else ImageText.UNREAD)
    found = recognise(opened, lambda turn: _picture(page, turn))
    if not lines:
        return ShownText(found.lines, found.box, ImageText.READ if found.lines else ImageText.NONE)
    new = [] if found.turn else _beside(lines, found.lines, box)
    return ShownText(_inserted(lines, new), box, ImageText.READ if new else ImageText.NONE)


def _share(image: Box, page: Box) -> float:
    width = min(image[2], page[2]) - max(image[0], page[0])
    height = min(image[3], page[3]) - max(image[1], page[1])
    area = (page[2] - page[0]) * (page[3] - page[1])
    return max(width, 0) * max(height, 0) / area if area > 0 else 0.0


def _is_paper(page: pdfium.PdfPage, images: Sequence[Box]) -> bool:
    """Whether one of the images is mostly white, by a small picture of the page. Those of rotated pages are taken to be."""
    if page.get_rotation():
        return True
    left, _, _, top = page.get_bbox()
    picture = _picture(page, 0, PREVIEW_DPI)
    scale = picture.dpi / 72
    for image in images:
        rows = range(max(int((top - image[3]) * scale), 0), min(int((top - image[1]) * scale), picture.height))
        columns = slice(max(int((image[0] - left) * scale), 0), min(int((image[2] - left) * scale), picture.width))
        counts = Counter(pixel for row in rows for pixel in picture.pixels[row * picture.stride : (row + 1) * picture.stride][columns])
        if sum(count for pixel, count in counts.items() if pixel >= PAPER) >= MIN_PAPER * counts.total() > 0:
            return True
    return False


def _has_text_over(images: Sequence[Box], lines: Sequence[Line]) -> bool:
    over = (line for line in lines if any(left <= line.left <= right and low <= line.middle <= top for left, low, right, top in images))
    return sum(len(line.text) for line in over) >= MIN_CHARACTERS


def _beside(lines: Sequence[Line], new: Sequence[Line], box: Box) -> list[Line]:
    """Those of the `new` lines that are not known already, in the coordinates of the page."""
    moved = [_moved(line, box[0], box[1]) for line in new]
    return [line for line in moved if not any(_overlap(line, other) for other in lines)]


def _inserted(lines: Sequence[Line], new: Sequence[Line]) -> list[Line]:
    """`new` lines before the first line below them."""
    if not new:
        return list(lines)
    at = next((at for at, line in enumerate(lines) if line.top <= new[0].bottom), len(lines))
    return [*lines[:at], *new, *lines[at:]]


def _picture(page: pdfium.PdfPage, turn: int, dpi: int = DPI) -> Picture:
    scale = min(dpi / 72, MAX_PIXELS / max(*page.get_size(), 1))
    bitmap = page.render(scale=scale, rotation=turn, grayscale=True)  # pyright: ignore[reportArgumentType] - it takes fractions
    made = Picture(bytes(bitmap.buffer), bitmap.width, bitmap.height, bitmap.stride, max(round(scale * 72), 1))
    bitmap.close()
    return made


def _moved(line: Line, x: float, y: float) -> Line:
    words = (Word(word.text, word.left + x, word.right + x) for word in line.words)
    return line_of(words, line.top + y, line.bottom + y, line.size)


def _overlap(one: Line, other: Line) -> bool:
    height = min(one.top, other.top) - max(one.bottom, other.bottom)
    return height > 0.3 * min(one.top - one.bottom, other.top - other.bottom) and one.left < other.right and other.left < one.right
