"""From the lines of a page to its items in reading order: lines and tables."""

from collections.abc import Sequence
from itertools import groupby

from retrieval.parse.pdf.page.lines import Line, line_of
from retrieval.parse.pdf.tables.flows import arranged
from retrieval.parse.pdf.tables.ruled import Placed, RuledGrid
from retrieval.parse.pdf.tables.table import Item


def with_ruled_tables(lines: Sequence[Line], grids: Sequence[RuledGrid]) -> list[Item]:
    found: list[Item] = list(lines)
    for grid in grids:
        found = _with_table(found, grid)
    return found


def in_order(page: Sequence[Item]) -> list[Item]:
    """With tables that have no ruling lines, and with columns one after the other."""
    made: list[Item] = []
    for _, group in groupby(page, lambda item: isinstance(item, Line)):
        run = list(group)
        lines = [item for item in run if isinstance(item, Line)]
        made += arranged(lines) if lines else run
    return made


def _with_table(found: Sequence[Item], grid: RuledGrid) -> list[Item]:
    """The words inside the grid become a table, where the first of them stood."""
    inside: list[Placed] = []
    rest: list[Item] = []
    at = -1
    for item in found:
        own = [word for word in item.words if grid.holds(word, item)] if isinstance(item, Line) and not item.sideways else []
        if not isinstance(item, Line) or not own:
            rest.append(item)
            continue
        inside += [(word, item) for word in own]
        at = len(rest) if at < 0 else at
        outside = [word for word in item.words if not grid.holds(word, item)]
        if outside:
            rest.append(line_of(outside, item.top, item.bottom, item.size))
    table = grid.filled(inside) if inside else None
    return [*rest[:at], table, *rest[at:]] if table else list(found)
