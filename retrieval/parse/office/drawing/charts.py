"""Charts as tables of what they plot (DrawingML charts, ECMA-376 part 1, chapter 21.2). The values are those stored with the chart."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from retrieval.parse.common import tables
from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.grid import Cell

Element = Any  # of lxml
CHART = "http://schemas.openxmlformats.org/drawingml/2006/chart"
URI = CHART  # of the graphic that refers to a chart
_C, _A = f"{{{CHART}}}", "{http://schemas.openxmlformats.org/drawingml/2006/main}"
MAX_POINTS = 100_000  # of a series


@dataclass(frozen=True, slots=True)
class Series:
    """`values` and `categories` by the index of the point."""

    name: str
    categories: dict[int, str]
    values: dict[int, str]


def write(space: Element, builder: DocumentBuilder) -> None:
    """Adds title and axis titles as a paragraph, and the series as the columns of a table. `space`: the c:chartSpace."""
    builder.add_block("paragraph", "\n".join(titles(space)))
    series = [_series(found) for found in space.iter(f"{_C}ser")]
    if series:
        builder.add_block("table", tables.render(_rows(series)))


def titles(space: Element) -> Iterator[str]:
    """The title of the chart, those of its axes, and labels that an author wrote beside points."""
    for title in space.iter(f"{_C}title", f"{_C}dLbl"):
        text = " ".join("".join(run.text or "" for run in line.iter(f"{_A}t")) for line in title.iter(f"{_A}p"))
        text = text.strip() or " ".join(value.text or "" for value in title.iter(f"{_C}v"))
        if text.strip():
            yield tables.collapse_spaces(text)


def _rows(series: list[Series]) -> Iterator[list[Cell]]:
    categories = {index: text for one in reversed(series) for index, text in one.categories.items()}
    yield [Cell("", heading=True), *(Cell(one.name or f"Series {number}", heading=True) for number, one in enumerate(series, 1))]
    for index in sorted(categories.keys() | {index for one in series for index in one.values}):
        yield [Cell(categories.get(index, "")), *(Cell(one.values.get(index, "")) for one in series)]


def _series(element: Element) -> Series:
    name = " ".join(value.text or "" for part in element.iterchildren(f"{_C}tx") for value in part.iter(f"{_C}v"))
    return Series(tables.collapse_spaces(name), _points(element, "cat", "xVal"), _points(element, "val", "yVal"))


def _points(element: Element, *names: str) -> dict[int, str]:
    """Of several levels of categories each point gets all, outermost first."""
    found = next((part for name in names for part in element.iterchildren(f"{_C}{name}")), None)
    if found is None:
        return {}
    levels = list(found.iter(f"{_C}lvl"))
    if not levels:
        return dict(_level(found))
    inner, *outer = (dict(_level(level)) for level in levels)
    return {index: " ".join([*(_enclosing(level, index) for level in reversed(outer)), text]).strip() for index, text in inner.items()}


def _level(element: Element) -> Iterator[tuple[int, str]]:
    for point in element.iter(f"{_C}pt"):
        index, value = point.get("idx", ""), point.find(f"{_C}v")
        if index.isdecimal() and int(index) < MAX_POINTS and value is not None:
            yield int(index), _number(value.text or "")


def _enclosing(level: dict[int, str], index: int) -> str:
    """An outer category stands at the first of its points."""
    return level[max((at for at in level if at <= index), default=index)] if level and min(level) <= index else ""


def _number(text: str) -> str:
    """Without the noise of binary fractions: 0.1 instead of 0.10000000000000001."""
    try:
        return f"{float(text):.15g}" if "." in text else text
    except ValueError:
        return text
