"""Lines of a PDF as headings, paragraphs and lists. A PDF holds none of these; they are seen from size, gaps and indents."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from retrieval.parse.common.draft import Draft
from retrieval.parse.pdf.lines import Line

LARGE = 1.15  # of the size of most of the text: print from this on is a heading
GAP = 1.45  # of the usual distance of lines: from here on a paragraph ends
SHORT = 0.8  # of the width: a line that ends before this was ended on purpose
EDGE = 0.07  # of the height that print takes: headers and footers stand this near the top or the bottom
REPEATED = 0.6  # of the pages carry a line that is a header or a footer
LONGEST_FURNITURE = 120  # characters
LONGEST = 200  # characters of a heading
_BULLET = re.compile(r"^(?:[•‣▪●○◦■–—*-]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s")
_NUMBER = re.compile(r"^(?:page |seite |p\. ?)?[-–—]? ?(?:\d{1,4}|[ivxlc]{1,7}) ?[-–—]?(?: ?(?:of|von|de|/) ?\d{1,4})?$", re.I)
_LEADER = re.compile(r"(?:\s?\.){4,}")  # from a title to its page
_ENDED = re.compile(r"[.!?:;…。！？]['\"”’)\]]*$")

Page = Sequence[Line]
Bookmarks = dict[tuple[int, str], int]  # level by page and key
Levels = dict[float, int]  # by size of print


def write(pages: Sequence[Page], bookmarks: Bookmarks, draft: Draft) -> None:
    levels = _levels(pages)
    pages = _without_furniture(pages, levels)
    for number, page in enumerate(pages):
        draft.page = number + 1
        usual = _Usual(_pitch(page), _edges(page), levels)
        for paragraph in _paragraphs(page, usual):
            printed = _text(paragraph, usual.edges)
            text = _LEADER.sub(" …", printed)
            level = bookmarks.get((number, key(text))) or (_level(paragraph, text, levels) if text == printed else 0)
            if level:
                draft.heading(text, level)
            else:
                draft.add("list" if _BULLET.match(text) else "paragraph", text)


def key(text: str) -> str:
    """By which a bookmark is found again in the text."""
    return "".join(filter(str.isalnum, text.casefold()))


def _without_furniture(pages: Sequence[Page], levels: Levels) -> list[Page]:
    """Small print at the edges that most pages carry, its numbers aside, is headers and footers; so are page numbers alone."""
    low, high = (
        min((line.bottom for page in pages for line in page), default=0),
        max((line.top for page in pages for line in page), default=0),
    )
    margin = EDGE * (high - low)

    def at_edge(line: Line) -> bool:
        outside = line.top > high - margin or line.bottom < low + margin
        return outside and len(line.text) <= LONGEST_FURNITURE and _rounded(line) not in levels

    seen = Counter(mark for page in pages for mark in {_mark(line) for line in page if at_edge(line)})
    least = max(3, REPEATED * sum(map(bool, pages)))

    def furniture(line: Line) -> bool:
        return at_edge(line) and (seen[_mark(line)] >= least or bool(_NUMBER.match(line.text.strip())))

    return [[line for line in page if not furniture(line)] for page in pages]


def _mark(line: Line) -> str:
    return f"{round(line.bottom / 10)} {re.sub('[0-9]+', '#', line.text.strip())}"


def _levels(pages: Sequence[Page]) -> Levels:
    """Level of each size of print that is larger than most of the text: the largest is 1."""
    sizes = Counter[float]()
    for page in pages:
        for line in page:
            sizes[_rounded(line)] += len(line.text)
    body = _middle(sizes)
    return {size: level for level, size in enumerate(sorted((size for size in sizes if size >= LARGE * body), reverse=True), 1)}


def _middle(sizes: Counter[float]) -> float:
    """The size of the character in the middle when all stand in order of size."""
    left = sizes.total() / 2
    for size in sorted(sizes):
        left -= sizes[size]
        if left <= 0:
            return size
    return 0.0


def _rounded(line: Line) -> float:
    return round(line.size * 2) / 2


def _level(paragraph: Page, text: str, levels: Levels) -> int:
    """0: it is no heading."""
    words = len(text) <= LONGEST and any(map(str.isalpha, text)) and len(text) > 1
    return levels.get(_rounded(paragraph[0]), 0) if words and len(paragraph) <= 3 and text[-1] not in ".,;" else 0


@dataclass(frozen=True, slots=True)
class _Usual:
    """What most lines of a page are like."""

    pitch: float  # from line to line
    edges: Mapping[int, float]  # how far right the lines of a column go, by where it begins
    levels: Levels


def _paragraphs(page: Page, usual: _Usual) -> Iterator[Page]:
    current: list[Line] = []
    for line in page:
        if current and _begins(current[-1], line, current[0], usual):
            yield current
            current = []
        current.append(line)
    if current:
        yield current


def _begins(last: Line, line: Line, first: Line, usual: _Usual) -> bool:
    """Whether `line` begins a paragraph after `last`, of one that began with `first`."""
    down, ended = _down(last, line), bool(_ENDED.search(last.text))
    larger = usual.levels.get(_rounded(line)) != usual.levels.get(_rounded(last))
    if larger or abs(line.size - last.size) > 0.25 * last.size or _BULLET.match(line.text):
        return True
    if down < -last.size:  # the next column
        return ended or not line.text[:1].islower()
    indented = line.left > last.left + 0.8 * line.size and abs(last.left - first.left) < 1 and not _BULLET.match(first.text)
    return down > GAP * usual.pitch or (ended and (_short(last, usual.edges) or indented))


def _down(above: Line, below: Line) -> float:
    """From the last line of print of the one to the first of the other."""
    return above.bottom - (below.top - below.size)


def _pitch(page: Page) -> float:
    """Usual distance from line to line."""
    steps = [step for above, below in pairwise(page) if 0 < (step := _down(above, below)) < 3 * above.size]
    return median(steps) if steps else 1e9


def _edges(page: Page) -> dict[int, float]:
    edges: dict[int, float] = defaultdict(float)
    for line in page:
        edges[_column(line)] = max(edges[_column(line)], line.right)
    return edges


def _column(line: Line) -> int:
    return round(line.left / 60)


def _short(line: Line, edges: Mapping[int, float]) -> bool:
    return line.right - line.left < SHORT * (edges[_column(line)] - line.left)


def _text(paragraph: Page, edges: Mapping[int, float]) -> str:
    """Lines that end before the edge keep their end: verses, addresses, rows of tables."""
    parts: list[str] = []
    for line in paragraph:
        parts += [line.text.strip(), "\n" if _short(line, edges) else " "]
    return "".join(parts).strip()
