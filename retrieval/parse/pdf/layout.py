"""Groups lines of a PDF into headings, paragraphs and lists by text size, gaps and indents: a PDF has no such structure."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.pdf.lines import Line

HEADING_RATIO = 1.15  # of the body text size: larger lines are headings
PARAGRAPH_GAP = 1.45  # of the usual line distance: a larger gap ends a paragraph
SHORT_LINE = 0.8  # of the column width: a shorter line was broken on purpose
MARGIN_RATIO = 0.07  # of the height of the text area: headers and footers are this near its top or bottom
REPEATED_SHARE = 0.6  # of the pages must repeat a header or footer
MAX_RUNNING_TITLE = 120  # characters of a header or footer
MAX_HEADING = 200  # characters of a heading
_BULLET = re.compile(r"^(?:[•‣▪●○◦■–—*-]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s")
_PAGE_NUMBER = re.compile(r"^(?:page |seite |p\. ?)?[-–—]? ?(?:\d{1,4}|[ivxlc]{1,7}) ?[-–—]?(?: ?(?:of|von|de|/) ?\d{1,4})?$", re.I)
_DOT_LEADER = re.compile(r"(?:\s?\.){4,}")  # between title and page number in a table of contents
_SENTENCE_END = re.compile(r"[.!?:;…。！？]['\"”’)\]]*$")

Page = Sequence[Line]
Bookmarks = dict[tuple[int, str], int]  # (page from 0, key of the title) -> heading level
Levels = dict[float, int]  # text size -> heading level


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
    """Normal form of a title, to match bookmarks with text."""
    return "".join(filter(str.isalnum, text.casefold()))


def _without_headers_and_footers(pages: Sequence[Page], levels: Levels) -> list[Page]:
    """Drops small text at the page edges that most pages repeat (digits ignored), and page numbers."""
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
    """Heading level of each text size above that of body text; the largest is 1."""
    sizes = Counter[float]()
    for page in pages:
        for line in page:
            sizes[_rounded_size(line)] += len(line.text)
    body = _median_size(sizes)
    return {size: level for level, size in enumerate(sorted((size for size in sizes if size >= HEADING_RATIO * body), reverse=True), 1)}


def _median_size(sizes: Counter[float]) -> float:
    """Median text size over all characters."""
    left = sizes.total() / 2
    for size in sorted(sizes):
        left -= sizes[size]
        if left <= 0:
            return size
    return 0.0


def _rounded_size(line: Line) -> float:
    return round(line.size * 2) / 2


def _level(paragraph: Page, text: str, levels: Levels) -> int:
    """Heading level; 0: not a heading."""
    words = len(text) <= MAX_HEADING and any(map(str.isalpha, text)) and len(text) > 1
    return levels.get(_rounded_size(paragraph[0]), 0) if words and len(paragraph) <= 3 and text[-1] not in ".,;" else 0


@dataclass(frozen=True, slots=True)
class _PageMetrics:
    """Typical measures of a page."""

    pitch: float  # distance from line to line, in points
    edges: Mapping[int, float]  # column -> its right edge
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
    """Whether `line` starts a new paragraph. `last`: the line before; `first`: the first line of the current paragraph."""
    down, ended = _line_distance(last, line), bool(_SENTENCE_END.search(last.text))
    larger = metrics.levels.get(_rounded_size(line)) != metrics.levels.get(_rounded_size(last))
    if larger or abs(line.size - last.size) > 0.25 * last.size or _BULLET.match(line.text):
        return True
    if down < -last.size:  # upwards: the next column
        return ended or not line.text[:1].islower()
    indented = line.left > last.left + 0.8 * line.size and abs(last.left - first.left) < 1 and not _BULLET.match(first.text)
    return down > PARAGRAPH_GAP * metrics.pitch or (ended and (_is_short(last, metrics.edges) or indented))


def _line_distance(above: Line, below: Line) -> float:
    """From the last printed line of `above` to the first of `below`; a Line may span several."""
    return above.bottom - (below.top - below.size)


def _line_pitch(page: Page) -> float:
    """Median distance from line to line."""
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
    """Joins lines. Those that end before the column edge keep their line break: verse, addresses, table rows."""
    parts: list[str] = []
    for line in paragraph:
        parts += [line.text.strip(), "\n" if _is_short(line, edges) else " "]
    return "".join(parts).strip()
