"""Finds what pages repeat at their edges: running titles and page numbers. PDF does not mark them."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from retrieval.parse.pdf.page.geometry import Box
from retrieval.parse.pdf.page.lines import Line, line_of, pieces
from retrieval.parse.pdf.tables.table import Item

EDGE_ROWS = 3  # outermost rows of a page in which headers and footers are sought
EDGE_RATIO = 0.18  # of the height of the page: they are this near its top or bottom
REPEATED_SHARE = 0.6  # of the pages must repeat a title, or have a number in step with them
MIN_PAGES = 3  # that repeat something
MIN_RUN = 5  # pages in a row that repeat the title of a chapter
MAX_RUNNING_TITLE = 120  # characters
MAX_FIRST = 999  # bare number of a first page: years, tickets and vouchers count from higher ones
ROW_DISTANCE = 1.9  # of the line height: what is nearer to the text belongs to it
SAME_POSITION = 12.0  # points
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_PAGE_WORD = r"page|seite|página|pagina|p[aá]g\.?|p\.|s\.|side|sida|sivu|strona|str\.|стр\.?|страница"
_NUMBER = r"(?P<number>\d{1,5}|[ivxlc]{1,7})"
_PAGE_NUMBER = re.compile(
    rf"[-–—\[(|]{{0,2}} ?(?P<word>{_PAGE_WORD})? ?"
    rf"{_NUMBER}(?: ?(?:of|von|de|di|av|af|van|z|из|/) ?(?P<total>\d{{1,5}}))? ?[-–—\])|]{{0,2}}",
    re.I,
)
_NAMED_NUMBER = re.compile(rf"\b({_PAGE_WORD}) ?(\d{{1,5}})\b", re.I)
_CJK_PAGE_NUMBER = re.compile(r"第? ?(?P<number>\d{1,5}) ?(?P<word>页|頁|ページ|쪽)(?P<total>)")
_LABEL = re.compile(r"(?:[:#№]|\b(?:no|nr|num|number|nummer|número|numero|n[o°º]|id))\.?\s*$", re.I)

Page = Sequence[Item]


class _Candidate(NamedTuple):
    page: int  # from 0
    line: int  # of the page
    piece: Line
    label: str  # the piece to the left of it


class _Counted(NamedTuple):
    candidate: _Candidate
    step: int  # the number less the page's index
    named: bool  # as in "Page 3"


def without_furniture(pages: Sequence[Page], boxes: Sequence[Box]) -> list[list[Item]]:
    """Leaves out running titles, except where each first stands, and page numbers. What changes from page to page in another way than
    the page's own number is text, and no page is emptied. `boxes`: of the pages."""
    candidates = [found for number, page in enumerate(pages) for found in _at_edges(number, page, boxes[number])]
    left_out = {id(found.piece) for found in (*_repeated(candidates, pages), *_page_numbers(candidates, pages))}
    if not left_out:
        return [list(page) for page in pages]
    touched: dict[tuple[int, int], list[Line]] = defaultdict(list)
    for found in candidates:
        touched[found.page, found.line].append(found.piece)
    kept = [_kept(number, page, touched, left_out) for number, page in enumerate(pages)]
    emptied = sum(bool(page) and not left for page, left in zip(pages, kept, strict=True))
    if emptied * 2 > sum(map(bool, pages)):  # forms and labels that are all of their pages
        return [list(page) for page in pages]
    return [left or list(page) for page, left in zip(pages, kept, strict=True)]


def _kept(number: int, page: Page, touched: dict[tuple[int, int], list[Line]], left_out: set[int]) -> list[Item]:
    kept: list[Item] = []
    for at, item in enumerate(page):
        parts = touched.get((number, at), [])
        left = [part for part in parts if id(part) not in left_out]
        if len(left) == len(parts):
            kept.append(item)
        elif left:
            kept.append(line_of([word for part in left for word in part.words], item.top, item.bottom, item.size))
    return kept


def _at_edges(number: int, page: Page, box: Box) -> Iterator[_Candidate]:
    """Pieces of the outermost rows."""
    margin = EDGE_RATIO * (box[3] - box[1])
    upper = sorted((at for at, item in enumerate(page) if item.top > box[3] - margin), key=lambda at: -page[at].top)
    lower = sorted((at for at, item in enumerate(page) if item.bottom < box[1] + margin), key=lambda at: page[at].bottom)
    for side, inward in ((upper, -1), (lower, 1)):
        for at, line in _first_rows(page, side):
            yield from _candidates(number, page, at, line, inward)


def _first_rows(page: Page, side: list[int]) -> Iterator[tuple[int, Line]]:
    """Up to the first table, whose rows are no furniture."""
    rows, last = 0, None
    for at in side:
        line = page[at]
        if not isinstance(line, Line):
            return
        if last is None or abs(line.middle - last.middle) > line.size / 2:
            rows, last = rows + 1, line
        if rows > EDGE_ROWS:
            return
        yield at, line


def _candidates(number: int, page: Page, at: int, line: Line, inward: int) -> Iterator[_Candidate]:
    parts = pieces(line)
    if len(parts) > 1 and _touches_next(page, line, inward):
        return  # the first row of a table, a label beside its value
    label = ""
    for part in parts:
        if len(part.text) <= MAX_RUNNING_TITLE:
            yield _Candidate(number, at, part, label)
        label = part.text


def _touches_next(page: Page, line: Line, inward: int) -> bool:
    others = (other.middle for other in page if isinstance(other, Line))
    return any(0.5 * line.size < (middle - line.middle) * inward < ROW_DISTANCE * line.size for middle in others)


def _repeated(candidates: Sequence[_Candidate], pages: Sequence[Page]) -> Iterator[_Candidate]:
    """Pieces with the same text at the same height on most pages, but for the first of each."""
    found: dict[tuple[int, str], list[_Candidate]] = defaultdict(list)
    fields: dict[tuple[int, str], set[str]] = defaultdict(set)
    for candidate in candidates:
        height, text = round(candidate.piece.middle / SAME_POSITION), _without_page_number(candidate)
        name = _field(text)
        for near in (height - 1, height, height + 1):  # a text is at its height and at those beside it
            found[near, text].append(candidate)
            fields[near, name].add(text)
    least = max(MIN_PAGES, REPEATED_SHARE * sum(map(bool, pages)))
    for (height, text), level in found.items():
        if len(level) < MIN_PAGES or not any(map(str.isalpha, text)) or len(fields[height, _field(text)]) > 1:
            continue
        if len({one.page for one in level}) >= _least(level, least):
            first = min(one.page for one in level)
            yield from (one for one in level if one.page > first)


def _without_page_number(candidate: _Candidate) -> str:
    """The text, with a number that is called that of the page as its distance from the page's own."""
    text = " ".join(candidate.piece.text.split())
    if not any(map(str.isdigit, text)):
        return text
    return _NAMED_NUMBER.sub(lambda match: f"{match[1]} {int(match[2]) - candidate.page:+}", text)


def _field(text: str) -> str:
    """What stays where a form prints another value on each page: "Amount due: 12.50" and "Amount due: 9.00" are not repetitions."""
    return re.sub("[0-9]+", "#", text.partition(":")[0])


def _least(level: Sequence[_Candidate], least: float) -> float:
    """Number of pages. A chapter's title runs on that chapter's pages alone, on each or on every other one."""
    numbers = sorted({candidate.page for candidate in level})
    steps = [after - before for before, after in pairwise(numbers)]
    return min(MIN_RUN, least) if steps and max(steps) <= 2 else least


def _page_numbers(candidates: Sequence[_Candidate], pages: Sequence[Page]) -> Iterator[_Candidate]:
    """Numbers that count the pages."""
    counted = [found for candidate in candidates if (found := _counted(candidate))]
    steps: dict[tuple[int, bool], list[_Counted]] = defaultdict(list)
    for found in counted:
        steps[found.step, found.named].append(found)
    for (_, named), group in steps.items():
        numbers = {found.candidate.page for found in group}
        if len(numbers) >= (2 if named else MIN_PAGES) and (named or len(numbers) >= _share(group, counted)):
            yield from (found.candidate for found in group)


def _share(group: Sequence[_Counted], counted: Sequence[_Counted]) -> float:
    """Least number of pages for numbers that nothing names: most of those with such a number at that height, from their first to their
    last page."""
    heights = {round(found.candidate.piece.middle / SAME_POSITION) for found in group}
    numbers = [found.candidate.page for found in group]
    level = {found.candidate.page for found in counted if round(found.candidate.piece.middle / SAME_POSITION) in heights}
    return REPEATED_SHARE * sum(min(numbers) <= page <= max(numbers) for page in level)


def _counted(candidate: _Candidate) -> _Counted | None:
    text = " ".join(candidate.piece.text.split())
    match = _PAGE_NUMBER.fullmatch(text) or _CJK_PAGE_NUMBER.fullmatch(text)
    if not match or _LABEL.search(candidate.label):
        return None
    number = match["number"]
    value = int(number) if number.isdecimal() else _roman(number.lower())
    named = bool(match["word"] or match["total"])
    return _Counted(candidate, value - candidate.page, named) if named or value - candidate.page <= MAX_FIRST else None


def _roman(text: str) -> int:
    values = [_ROMAN[char] for char in text]
    return sum(-value if value < after else value for value, after in zip(values, [*values[1:], 0], strict=True))
