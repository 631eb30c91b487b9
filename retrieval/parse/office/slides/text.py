"""Paragraphs of slides as lines: numbered as shown, raised and struck characters as such, links with their targets."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pptx.oxml.ns import qn

from retrieval.parse.common import tables
from retrieval.parse.common.links import with_target
from retrieval.parse.common.typography import Segment, joined
from retrieval.parse.office import numerals, symbols
from retrieval.parse.office.drawing.alternatives import understood
from retrieval.parse.office.drawing.equations import EQUATIONS, linear
from retrieval.parse.office.slides.hidden_text import TextBackground

Element = Any  # of lxml
RUN, BREAK, FIELD, TEXT, PROPERTIES = map(qn, ("a:r", "a:br", "a:fld", "a:t", "a:rPr"))
MATH_HOLDER = "{http://schemas.microsoft.com/office/drawing/2010/main}m"
NUMBERS = {
    "arabic": str,
    "alphaLc": numerals.letters,
    "alphaUc": lambda number: numerals.letters(number).upper(),
    "romanLc": numerals.roman,
    "romanUc": lambda number: numerals.roman(number).upper(),
}
SIGNS = {"Period": "{}.", "ParenR": "{})", "ParenBoth": "({})", "Plain": "{}"}
BULLET = "-"


@dataclass(frozen=True, slots=True)
class Line:
    """A paragraph. `label`: its number, else BULLET."""

    level: int
    text: str
    label: str = BULLET


class LineReader:
    """Reads the text of the shapes of one slide. `part`: the slide's, which resolves links."""

    def __init__(self, part: Any) -> None:
        self._part = part
        self.hidden = False  # whether hidden text was found so far

    def lines(self, frame: Any, background: TextBackground) -> list[Line]:
        """The paragraphs with visible text."""
        lines, counters = list[Line](), defaultdict[int, int](int)
        for paragraph in frame.paragraphs:
            text = tables.collapse_spaces(joined(list(self._segments(paragraph._p, background))))
            if text:
                lines.append(Line(paragraph.level, text, _label(paragraph._p, paragraph.level, counters)))
        return lines

    def _segments(self, paragraph: Element, background: TextBackground) -> Iterator[Segment]:
        for part in understood(paragraph):
            if part.tag in (RUN, FIELD, BREAK):
                if part.text.strip() and background.hides(part):
                    self.hidden = True
                elif part.get("type") != "slidenum":
                    yield from self._run(part)
            elif part.tag in EQUATIONS or part.tag == MATH_HOLDER:
                yield Segment("".join(map(linear, part)) if part.tag == MATH_HOLDER else linear(part))

    def _run(self, run: Element) -> Iterator[Segment]:
        properties = run.find(PROPERTIES)
        if run.tag == BREAK or properties is None:
            yield Segment("\n" if run.tag == BREAK else run.text)
            return
        symbol = properties.find(qn("a:sym"))
        latin = symbol if symbol is not None else properties.find(qn("a:latin"))
        text = symbols.translated(run.text, "" if latin is None else latin.get("typeface", ""))
        yield Segment(text, _place(properties.get("baseline", "0")), properties.get("strike", "noStrike") != "noStrike")
        target = self._target(properties.find(qn("a:hlinkClick")))
        yield Segment(with_target(text, target)[len(text.rstrip()) :])

    def _target(self, link: Element | None) -> str:
        relation = None if link is None else self._part.rels.get(link.get(qn("r:id"), ""))
        return relation.target_ref if relation is not None and relation.is_external else ""


def _place(baseline: str) -> str | None:
    """Raised or lowered by this part of the font's size, in thousandths of a percent."""
    digits = baseline.removesuffix("%").removeprefix("-")
    if not digits.replace(".", "", 1).isdecimal() or not float(digits):
        return None
    return "subscript" if baseline.startswith("-") else "superscript"


def _label(paragraph: Element, level: int, counters: defaultdict[int, int]) -> str:
    """Numbers run on as long as paragraphs of the level are numbered."""
    for deeper in [one for one in counters if one > level]:
        del counters[deeper]
    found = paragraph.find(f"{qn('a:pPr')}/{qn('a:buAutoNum')}")
    if found is None:
        counters.pop(level, None)
        return BULLET
    start = found.get("startAt", "1")
    counters[level] = counters[level] + 1 if level in counters else int(start) if start.isdecimal() and len(start) < 6 else 1
    kind = found.get("type", "arabicPeriod")
    number = next((write for name, write in NUMBERS.items() if kind.startswith(name)), str)
    return next((sign for ending, sign in SIGNS.items() if kind.endswith(ending)), "{}.").format(number(counters[level]))
