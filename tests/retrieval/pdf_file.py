"""PDF files written by hand: what stands in them is what the test says, at the places it says."""

from collections.abc import Iterable, Sequence

UPRIGHT, LEFTWARDS, UPWARDS, DOWNWARDS = "1 0 0 1", "-1 0 0 -1", "0 1 -1 0", "0 -1 1 0"  # directions of text
FIRST_EXTRA = 5  # number of the first of a file's extra objects


def text(x: float, y: float, words: str, size: float = 11, *, direction: str = UPRIGHT, mode: int = 0) -> str:
    """Content that prints words in Helvetica. `mode`: text rendering mode, 3 for invisible."""
    escaped = words.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return f"BT {mode} Tr /F1 {size} Tf {direction} {x} {y} Tm ({escaped}) Tj ET\n"


def rows(*lines: Sequence[tuple[float, str]], top: float = 700, step: float = 16) -> str:
    """Content of lines, drawn row by row, each of pieces with their x."""
    return "".join(text(x, top - number * step, words) for number, line in enumerate(lines) for x, words in line)


def grid(xs: Sequence[float], ys: Sequence[float]) -> str:
    """Content that draws ruling lines."""
    across = "".join(f"{xs[0]} {y} m {xs[-1]} {y} l S\n" for y in ys)
    return across + "".join(f"{x} {ys[0]} m {x} {ys[-1]} l S\n" for x in xs)


def stream(entries: str, content: str | bytes) -> bytes:
    data = content.encode("cp1252") if isinstance(content, str) else content
    return f"<< {entries} /Length {len(data)} >>\nstream\n".encode() + data + b"\nendstream"


def pdf(pages: Iterable[str], extra: Sequence[str | bytes] = (), *, page: str = "", root: str = "", resources: str = "") -> bytes:
    """`extra`: further objects, numbered from FIRST_EXTRA; `page`, `root`, `resources`: further entries of each page, of the catalog, of
    the pages' resources."""
    pages = list(pages)
    first = FIRST_EXTRA + len(extra)
    numbers = [first + 2 * number for number in range(len(pages))]
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {root} >>",
        f"<< /Type /Pages /Kids [{' '.join(f'{number} 0 R' for number in numbers)}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /ZapfDingbats >>",
        *extra,
    ]
    for number, content in zip(numbers, pages, strict=True):
        fonts = f"<< /Font << /F1 3 0 R /ZaDb 4 0 R >> {resources} >>"
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {number + 1} 0 R /Resources {fonts} {page} >>")
        objects.append(stream("", content))
    return _file(objects)


def _file(objects: Sequence[str | bytes]) -> bytes:
    data, places = bytearray(b"%PDF-1.7\n"), list[int]()
    for number, content in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n".encode() + (content.encode("cp1252") if isinstance(content, str) else content) + b"\nendobj\n"
    start = len(data)
    data += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    data += b"".join(f"{place:010} 00000 n \n".encode() for place in places)
    return bytes(data + f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n".encode())
