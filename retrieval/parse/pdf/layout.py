"""Lines of a PDF as headings, paragraphs and lists. A PDF holds none of these; they are seen from size, gaps and indents."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.pdf.lines import Line

HEADING_RATIO = 1.15  # of the size of most of the text: print from this on is a heading
PARAGRAPH_GAP = 1.45  # of the usual distance of lines: from here on a paragraph ends
SHORT_LINE = 0.8  # of the width: a line that ends before this was ended on purpose
MARGIN_RATIO = 0.07  # of the height that print takes: headers and footers stand this near the top or the bottom
REPEATED_SHARE = 0.6  # of the pages carry a line that is a header or a footer
MAX_RUNNING_TITLE = 120  # characters
MAX_HEADING = 200  # characters of a heading
_BULLET = re.compile(r"^(?:[•‣▪●○◦■–—*-]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s")
_PAGE_NUMBER = re.compile(r"^(?:page |seite |p\. ?)?[-–—]? ?(?:\d{1,4}|[ivxlc]{1,7}) ?[-–—]?(?: ?(?:of|von|de|/) ?\d{1,4})?$", re.I)
_DOT_LEADER = re.compile(r"(?:\s?\.){4,}")  # from a title to its page
_SENTENCE_END = re.compile(r"[.!?:;…。！？]['\"”’)\]]*$")

Page = Sequence[Line]
Bookmarks = dict[tuple[int, str], int]  # level by page and key
Levels = dict[float, int]  # by size of print


def write(pages: Sequence[Page], bookmarks: Bookmarks, builder: DocumentBuilder) -> None:
    levels = _levels(pages)
    pages = _without_headers_and_footers(pages, levels)
    for number, page in enumerate(pages):
        builder.page = number + 1
        metrics = _PageMetrics(_line_pitch(page), _column_edges(page), levels)
        for paragraph in _paragraphs(page, metrics):
            printed = _text(paragraph, metrics.edges)
            text = _DOT_LEADER.sub(" …", printed)
            level = bookmarks.get((number, key(text))) or (_level(paragraph, text, levels) if text == printed else 0)
            if level:
                builder.add_heading(text, level)
            else:
                builder.add_block("list" if _BULLET.match(text) else "paragraph", text)


def key(text: str) -> str:
    """By which a bookmark is found again in the text."""
    return "".join(filter(str.isalnum, text.casefold()))


def _without_headers_and_footers(pages: Sequence[Page], levels: Levels) -> list[Page]:
    """Small print at the edges that most pages carry, its numbers aside, is headers and footers; so are page numbers alone."""
    low, high = (
        min((line.bottom for page in pages for line in page), default=0),
        max((line.top for page in pages for line in page), default=0),
    )
    margin = MARGIN_RATIO * (high - low)

    def at_edge(line: Line) -> bool:
        outside = line.top > high - margin or line.bottom < low + margin
        return outside and len(line.text) <= MAX_RUNNING_TITLE and _rounded_size(line) not in levels

    seen = Counter(mark for page in pages for mark in {_position_key(line) for line in page if at_edge(line)})
    least = max(3, REPEATED_SHARE * sum(map(bool, pages)))

    def is_header_or_footer(line: Line) -> bool:
        return at_edge(line) and (seen[_position_key(line)] >= least or bool(_PAGE_NUMBER.match(line.text.strip())))

    return [[line for line in page if not is_header_or_footer(line)] for page in pages]


def _position_key(line: Line) -> str:
    return f"{round(line.bottom / 10)} {re.sub('[0-9]+', '#', line.text.strip())}"


def _levels(pages: Sequence[Page]) -> Levels:
    """Level of each size of print that is larger than most of the text: the largest is 1."""
    sizes = Counter[float]()
    for page in pages:
        for line in page:
            sizes[_rounded_size(line)] += len(line.text)
    body = _median_size(sizes)
    return {size: level for level, size in enumerate(sorted((size for size in sizes if size >= HEADING_RATIO * body), reverse=True), 1)}


def _median_size(sizes: Counter[float]) -> float:
    """The size of the character in the middle when all stand in order of size."""
    left = sizes.total() / 2
    for size in sorted(sizes):
        left -= sizes[size]
        if left <= 0:
            return size
    return 0.0


def _rounded_size(line: Line) -> float:
    return round(line.size * 2) / 2


def _level(paragraph: Page, text: str, levels: Levels) -> int:
    """0: it is no heading."""
    words = len(text) <= MAX_HEADING and any(map(str.isalpha, text)) and len(text) > 1
    return levels.get(_rounded_size(paragraph[0]), 0) if words and len(paragraph) <= 3 and text[-1] not in ".,;" else 0


@dataclass(frozen=True, slots=True)
class _PageMetrics:
    """What most lines of a page are like."""

    pitch: float  # from line to line
    edges: Mapping[int, float]  # how far right the lines of a column go, by where it begins
    levels: Levels


def _paragraphs(page: Page, metrics: _PageMetrics) -> Iterator[Page]:
    current: list[Line] = []
    for line in page:
        if current and _starts_paragraph(current[-1], line, current[0], metrics):
            yield current
            current = []
        current.append(line)
    if current:
        yield current


def _starts_paragraph(last: Line, line: Line, first: Line, metrics: _PageMetrics) -> bool:
    """Whether `line` begins a paragraph after `last`, of one that began with `first`."""
    down, ended = _line_distance(last, line), bool(_SENTENCE_END.search(last.text))
    larger = metrics.levels.get(_rounded_size(line)) != metrics.levels.get(_rounded_size(last))
    if larger or abs(line.size - last.size) > 0.25 * last.size or _BULLET.match(line.text):
        return True
    if down < -last.size:  # the next column
        return ended or not line.text[:1].islower()
    indented = line.left > last.left + 0.8 * line.size and abs(last.left - first.left) < 1 and not _BULLET.match(first.text)
    return down > PARAGRAPH_GAP * metrics.pitch or (ended and (_is_short(last, metrics.edges) or indented))


def _line_distance(above: Line, below: Line) -> float:
    """From the last line of print of the one to the first of the other."""
    return above.bottom - (below.top - below.size)


def _line_pitch(page: Page) -> float:
    """Usual distance from line to line."""
    steps = [step for above, below in pairwise(page) if 0 < (step := _line_distance(above, below)) < 3 * above.size]
    return median(steps) if steps else 1e9


def _column_edges(page: Page) -> dict[int, float]:
    edges: dict[int, float] = defaultdict(float)
    for line in page:
        edges[_column(line)] = max(edges[_column(line)], line.right)
    return edges


def _column(line: Line) -> int:
    return round(line.left / 60)


def _is_short(line: Line, edges: Mapping[int, float]) -> bool:
    return line.right - line.left < SHORT_LINE * (edges[_column(line)] - line.left)


def _text(paragraph: Page, edges: Mapping[int, float]) -> str:
    """Lines that end before the edge keep their end: verses, addresses, rows of tables."""
    parts: list[str] = []
    for line in paragraph:
        parts += [line.text.strip(), "\n" if _is_short(line, edges) else " "]
    return "".join(parts).strip()
