"""Text lines of a PDF page with their positions. Coordinates are points; y grows upwards."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass

import pypdfium2 as pdfium
import pypdfium2.raw as raw

HYPHEN = "\ufffe"  # PDFium's marker for a word hyphenated at the end of a line
MIN_SIZE = 1.2  # points: smaller text is unreadable
WHITE = 240  # of 255: channel values from here on count as white
MIN_ALPHA = 13  # of 255: text with less opacity counts as invisible
RENDER_PIXELS = 2000  # of the longer side of the page when it is rendered
Box = tuple[float, float, float, float]  # left, bottom, right, top
INVISIBLE = (raw.FPDF_TEXTRENDERMODE_INVISIBLE, raw.FPDF_TEXTRENDERMODE_CLIP)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, or several that PDFium joined at a hyphenated word."""

    text: str
    left: float  # of its first character
    top: float
    right: float  # of its last character
    bottom: float
    size: float  # line height


def lines(page: pdfium.PdfPage) -> tuple[list[Line], bool]:
    """Lines in PDFium's reading order; whether hidden text was left out."""
    hidden = _hidden_objects(page)
    text_page = page.get_textpage()
    found = list(_lines(text_page, _visible_characters(text_page, hidden), page.get_bbox()))
    text_page.close()
    return found, bool(hidden)


def shows_image(page: pdfium.PdfPage) -> bool:
    return any(True for _ in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3))


def _visible_characters(text_page: pdfium.PdfTextPage, hidden: set[int]) -> list[str]:
    """One string per character of the page; "" for a hidden one."""
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
    size = sorted(top - bottom for _, bottom, _, top in boxes)[1]  # median: a bullet or bracket may be in another font
    text = "".join(chars[first : last + 1]).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    (left, _, _, top), _, (_, bottom, right, _) = boxes
    return Line(_join_hyphenated(text), left, top, right, bottom, size)


def _join_hyphenated(text: str) -> str:
    """Rejoins words hyphenated at the end of a line; before capitals and digits the hyphen stays, as in names and numbers."""
    parts = text.split(HYPHEN)
    for index, part in enumerate(parts[1:], 1):
        parts[index] = part if part[:1].islower() else "-" + part
    return "".join(parts)


def _on_page(line: Line, box: Box) -> bool:
    """Whether any part of the line is on the page."""
    left, bottom, right, top = box
    return max(line.left, line.right) > left and min(line.left, line.right) < right and line.top > bottom and line.bottom < top


def _hidden_objects(page: pdfium.PdfPage) -> set[int]:
    """Addresses of text objects that are invisible: by render mode, transparent, or white on white."""
    found, white = set[int](), list[pdfium.PdfObject]()
    scanned: bool | None = None
    for item in page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT], max_depth=3):
        colour = _colour(item)
        if raw.FPDFTextObj_GetTextRenderMode(item) in INVISIBLE:
            scanned = shows_image(page) if scanned is None else scanned
            if not scanned:  # over a scanned page it is the recognised text (OCR)
                found.add(_address(item.raw))
        elif colour[3] < MIN_ALPHA:
            found.add(_address(item.raw))
        elif min(colour[:3]) >= WHITE and not item.level:  # nested objects have their own coordinates
            white.append(item)
    return found | (_white_on_white(page, white) if white else set())


def _colour(item: pdfium.PdfObject) -> tuple[int, int, int, int]:
    red, green, blue, alpha = (ctypes.c_uint(0) for _ in range(4))
    if not raw.FPDFPageObj_GetFillColor(item, red, green, blue, alpha):
        return 0, 0, 0, 255
    return red.value, green.value, blue.value, alpha.value


def _white_on_white(page: pdfium.PdfPage, items: list[pdfium.PdfObject]) -> set[int]:
    """Addresses of items in whose area the rendered page is all white. Rotated pages are not checked."""
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
