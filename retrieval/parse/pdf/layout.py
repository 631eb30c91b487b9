"""Groups lines of a PDF into headings, paragraphs and lists by text size, gaps and indents: a PDF has no such structure."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise, zip_longest
from statistics import median

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.tables import render
from retrieval.parse.pdf.hyphens import rejoined, vocabulary
from retrieval.parse.pdf.page.lines import HYPHEN, Line
from retrieval.parse.pdf.tables.table import Boxes, Item, Table, continues, names, texts_of, with_names

HEADING_RATIO = 1.15  # of the body text size: larger lines are headings
PARAGRAPH_GAP = 1.45  # of the usual line distance: a larger gap ends a paragraph
SHORT_LINE = 0.8  # of the column width: a shorter line was broken on purpose
MAX_HEADING = 200  # characters of a heading
_BULLET = re.compile(r"^(?:[•‣▪●○◦■–—*-]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s")
_DOT_LEADER = re.compile(r"(?:\s?\.){4,}")  # between title and page number in a table of contents
_SENTENCE_END = re.compile(r"[.!?:;…。！？]['\"”’)\]]*$")

_FIRST_UNSPACED, _LAST_UNSPACED = "\u3000", "\u9fff"  # of scripts without spaces between words: Chinese, Japanese

Paragraph = Sequence[Line]
Bookmarks = dict[tuple[int, str], int]  # (page from 0, key of the title) -> heading level
Levels = dict[float, int]  # text size -> heading level


def write(pages: Sequence[Sequence[Item]], after: Sequence[Sequence[str]], bookmarks: Bookmarks, builder: DocumentBuilder) -> None:
    """`after`: further blocks at the end of each page."""
    writer = _Writer(builder, bookmarks, _levels(pages), vocabulary([text for page in pages for item in page for text in texts_of(item)]))
    for number, (page, texts) in enumerate(zip(pages, after, strict=True)):
        writer.add_page(number, page)
        for text in texts:
            builder.add_block("paragraph", text)


class _Writer:
    """Writes pages in their order: a table may go on from one to the next."""

    def __init__(self, builder: DocumentBuilder, bookmarks: Bookmarks, levels: Levels, known: frozenset[str]) -> None:
        self._builder, self._bookmarks, self._levels, self._known = builder, bookmarks, levels, known
        self._open: Table | None = None  # the table at the end of the page before, with the names that it was written under
        self._last: Table | None = None  # the last table that was written

    def add_page(self, number: int, page: Sequence[Item]) -> None:
        self._builder.page = number + 1
        lines = [item for item in page if isinstance(item, Line)]
        metrics = _PageMetrics(_line_pitch(lines), _column_edges(lines), self._levels)
        for at, (_, group) in enumerate(groupby(page, lambda item: isinstance(item, Line))):
            run = list(group)
            others = [item for item in run if not isinstance(item, Line)]
            for item in others or _paragraphs([item for item in run if isinstance(item, Line)], metrics):
                self._add(number, item, metrics, first=at == 0)
        self._open = self._last if page and isinstance(page[-1], Table) else None

    def _add(self, number: int, item: Table | Boxes | Paragraph, metrics: "_PageMetrics", *, first: bool) -> None:
        match item:
            case Table():
                if first and self._open and continues(item, self._open):
                    item = with_names(item, names(self._open))
                self._last = item
                self._builder.add_block("table", rejoined(render(item.rows), self._known))
            case Boxes():
                self._builder.add_block("paragraph", "\n".join(rejoined(text, self._known) for text in item.texts))
            case paragraph:
                self._add_paragraph(number, paragraph, metrics)

    def _add_paragraph(self, number: int, paragraph: Paragraph, metrics: "_PageMetrics") -> None:
        printed = _text(paragraph, metrics.edges, self._known)
        text = _DOT_LEADER.sub(" …", printed) if ".." in printed or ". ." in printed else printed
        level = self._bookmarks.get((number, key(text))) or (_level(paragraph, text, self._levels) if text == printed else 0)
        if level:
            self._builder.add_heading(text, level)
        else:
            self._builder.add_block("list" if _BULLET.match(text) else "paragraph", text)


def key(text: str) -> str:
    """Normal form of a title, to match bookmarks with text."""
    return "".join(filter(str.isalnum, text.casefold()))


def _levels(pages: Sequence[Sequence[Item]]) -> Levels:
    """Heading level of each text size above that of body text; the largest is 1."""
    sizes = Counter[float]()
    for page in pages:
        for item in page:
            sizes[_rounded_size(item)] += len(item.text) if isinstance(item, Line) else sum(map(len, texts_of(item)))
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


def _rounded_size(line: Item) -> float:
    return round(line.size * 2) / 2


def _level(paragraph: Paragraph, text: str, levels: Levels) -> int:
    """Heading level; 0: not a heading."""
    words = len(text) <= MAX_HEADING and any(map(str.isalpha, text)) and len(text) > 1
    return levels.get(_rounded_size(paragraph[0]), 0) if words and len(paragraph) <= 3 and text[-1] not in ".,;" else 0


@dataclass(frozen=True, slots=True)
class _PageMetrics:
    """Typical measures of a page."""

    pitch: float  # distance from line to line, in points
    edges: Mapping[int, float]  # column -> its right edge
    levels: Levels


def _paragraphs(page: Paragraph, metrics: _PageMetrics) -> Iterator[Paragraph]:
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
    if line.sideways or last.sideways or larger or abs(line.size - last.size) > 0.25 * last.size or _BULLET.match(line.text):
        return True
    if down < -last.size:  # upwards: the next column
        return ended or not line.text[:1].islower()
    indented = line.left > last.left + 0.8 * line.size and abs(last.left - first.left) < 1 and not _BULLET.match(first.text)
    return down > PARAGRAPH_GAP * metrics.pitch or (ended and (_is_short(last, metrics.edges) or indented))


def _line_distance(above: Line, below: Line) -> float:
    """From the last printed line of `above` to the first of `below`; a Line may span several."""
    return above.bottom - (below.top - below.size)


def _line_pitch(page: Paragraph) -> float:
    """Median distance from line to line."""
    steps = [step for above, below in pairwise(page) if 0 < (step := _line_distance(above, below)) < 3 * above.size]
    return median(steps) if steps else 1e9


def _column_edges(page: Paragraph) -> dict[int, float]:
    edges: dict[int, float] = defaultdict(float)
    for line in page:
        edges[_column(line)] = max(edges[_column(line)], line.right)
    return edges


def _column(line: Line) -> int:
    return round(line.left / 60)


def _is_short(line: Line, edges: Mapping[int, float]) -> bool:
    return line.right - line.left < SHORT_LINE * (edges[_column(line)] - line.left)


def _text(paragraph: Paragraph, edges: Mapping[int, float], known: frozenset[str]) -> str:
    """Joins lines. Those that end before the column edge keep their line break: verse, addresses, table rows."""
    parts: list[str] = []
    for line, after in zip_longest(paragraph, paragraph[1:]):
        text = line.text
        parts += [text, _joint(text, after.text, short=_is_short(line, edges)) if after else ""]
    return rejoined("".join(parts), known)


def _joint(text: str, after: str, *, short: bool) -> str:
    """What stands between two lines."""
    if text[-1] == HYPHEN:
        return " "
    if text[-1] == "-" and text[-2:-1].isalnum() and after[0].isalnum():
        return ""
    if short:
        return "\n"
    return "" if _FIRST_UNSPACED <= text[-1] <= _LAST_UNSPACED and _FIRST_UNSPACED <= after[0] <= _LAST_UNSPACED else " "
