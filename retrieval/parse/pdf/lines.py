"""The lines of a PDF page, with where they stand. Coordinates are points; y grows upwards."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass

import pypdfium2 as pdfium
import pypdfium2.raw as raw

HYPHEN = "\ufffe"  # PDFium's mark where a word was broken at a line's end
MIN_SIZE = 1.2  # points: nobody reads smaller print
WHITE = 240  # of 255: what white paper and white print are at least
MIN_ALPHA = 13  # of 255: print below this opacity is not there
RENDER_PIXELS = 2000  # of the longer side of a page that is looked at
Box = tuple[float, float, float, float]  # left, bottom, right, top
INVISIBLE = (raw.FPDF_TEXTRENDERMODE_INVISIBLE, raw.FPDF_TEXTRENDERMODE_CLIP)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of print, or several that PDFium joined where a word was broken."""

    text: str
    left: float  # of its first character
    top: float
    right: float  # of its last character
    bottom: float
    size: float  # of its print: what a line takes in height


def lines(page: pdfium.PdfPage) -> tuple[list[Line], bool]:
    """In reading order as PDFium sees it; whether text was left out because nobody can see it."""
    hidden = _hidden_objects(page)
    text_page = page.get_textpage()
    found = list(_lines(text_page, _visible_characters(text_page, hidden), page.get_bbox()))
    text_page.close()
    return found, bool(hidden)


def shows_image(page: pdfium.PdfPage) -> bool:
    return any(True for _ in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3))


def _visible_characters(text_page: pdfium.PdfTextPage, hidden: set[int]) -> list[str]:
    """One string for each character of the page; "" for one that is hidden."""
    count = text_page.count_chars()
    text = text_page.get_text_range() if count else ""
    chars = list(text) if len(text) == count else [_unit(raw.FPDFText_GetUnicode(text_page, index)) for index in range(count)]
    if hidden:
        for index, char in enumerate(chars):
            if char not in "\r\n" and _address(raw.FPDFText_GetTextObject(text_page, index)) in hidden:
                chars[index] = ""
    return chars


def _unit(code: int) -> str:
    return chr(code) if 0 < code < 0x110000 else ""


def _lines(text_page: pdfium.PdfTextPage, chars: list[str], box: Box) -> Iterator[Line]:
    at = 0
    while at < len(chars):
        end = next((index for index in range(at, len(chars)) if chars[index] in ("\r", "\n")), len(chars))
        first = next((index for index in range(at, end) if chars[index].strip()), None)
        if first is not None:
            last = next(index for index in range(end - 1, at - 1, -1) if chars[index].strip())
            line = _line(text_page, chars, first, last)
            if line.size >= MIN_SIZE and _on_page(line, box):
                yield line
        at = end + 1


def _line(text_page: pdfium.PdfTextPage, chars: list[str], first: int, last: int) -> Line:
    shown = [index for index in range(first, last + 1) if chars[index].strip()]
    boxes = [text_page.get_charbox(index, loose=True) for index in (first, shown[len(shown) // 2], last)]
    size = sorted(top - bottom for _, bottom, _, top in boxes)[1]  # a bullet or a bracket may be of another font than the rest
    text = "".join(chars[first : last + 1]).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    (left, _, _, top), _, (_, bottom, right, _) = boxes
    return Line(_join_hyphenated(text), left, top, right, bottom, size)


def _join_hyphenated(text: str) -> str:
    """A word that went on in the next line is whole again; names and numbers keep their hyphen."""
    parts = text.split(HYPHEN)
    for index, part in enumerate(parts[1:], 1):
        parts[index] = part if part[:1].islower() else "-" + part
    return "".join(parts)


def _on_page(line: Line, box: Box) -> bool:
    """Whether any of it stands on the page."""
    left, bottom, right, top = box
    return max(line.left, line.right) > left and min(line.left, line.right) < right and line.top > bottom and line.bottom < top


def _hidden_objects(page: pdfium.PdfPage) -> set[int]:
    """Addresses of text objects that cannot be seen: without colour, tiny, or white on white."""
    found, white = set[int](), list[pdfium.PdfObject]()
    scanned: bool | None = None
    for item in page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT], max_depth=3):
        colour = _colour(item)
        if raw.FPDFTextObj_GetTextRenderMode(item) in INVISIBLE:
            scanned = shows_image(page) if scanned is None else scanned
            if not scanned:  # above a scanned page it is what was recognised
                found.add(_address(item.raw))
        elif colour[3] < MIN_ALPHA:
            found.add(_address(item.raw))
        elif min(colour[:3]) >= WHITE and not item.level:  # deeper ones have coordinates of their own
            white.append(item)
    return found | (_white_on_white(page, white) if white else set())


def _colour(item: pdfium.PdfObject) -> tuple[int, int, int, int]:
    red, green, blue, alpha = (ctypes.c_uint(0) for _ in range(4))
    if not raw.FPDFPageObj_GetFillColor(item, red, green, blue, alpha):
        return 0, 0, 0, 255
    return red.value, green.value, blue.value, alpha.value


def _white_on_white(page: pdfium.PdfPage, items: list[pdfium.PdfObject]) -> set[int]:
    """Those where the page as it is seen shows nothing but white. Pages that are turned are not looked at."""
    if page.get_rotation():
        return set()
    edge, _, _, roof = page.get_bbox()
    scale = min(1.0, RENDER_PIXELS / max(*page.get_size(), 1))
    bitmap = page.render(scale=scale, grayscale=True)  # pyright: ignore[reportArgumentType] - it takes fractions
    pixels, found = bytes(bitmap.buffer), set[int]()
    for item in items:
        left, bottom, right, top = item.get_bounds()
        rows = range(max(int((roof - top) * scale), 0), min(int((roof - bottom) * scale) + 1, bitmap.height))
        columns = max(int((left - edge) * scale), 0), min(int((right - edge) * scale) + 1, bitmap.width)
        shown = (pixels[row * bitmap.stride + columns[0] : row * bitmap.stride + columns[1]] for row in rows)
        if all(min(part, default=255) >= WHITE for part in shown):
            found.add(_address(item.raw))
    bitmap.close()
    return found


def _address(pointer: object) -> int:
    return ctypes.cast(pointer, ctypes.c_void_p).value or 0  # pyright: ignore[reportArgumentType]
