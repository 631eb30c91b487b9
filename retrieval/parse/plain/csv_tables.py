"""CSV, and what all tables of data share: rows that name their columns."""

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import chain, groupby, islice

from retrieval.parse.common import tables
from retrieval.parse.common.decode import decode
from retrieval.parse.common.draft import Draft

SAMPLE = 64 * 1024  # characters by which the separator is known
SEPARATORS = ",;\t|"
LINES = 50  # of the sample
BLOCK = 50  # rows
LOOK = 5  # rows that tell whether the first names the columns


def read(data: bytes, draft: Draft) -> None:
    text = decode(data)
    csv.field_size_limit(draft.limits.characters)
    write(csv.reader(re.split("(?<=\n)", re.sub("\r\n?", "\n", text)), _dialect(text)), draft)


def write(rows: Iterable[tables.Row], draft: Draft) -> None:
    """Empty rows part one table from the next."""
    for filled, region in groupby(rows, key=_filled):
        if filled:
            _region(region, draft)


def _region(rows: Iterator[tables.Row], draft: Draft) -> None:
    start = list(islice(rows, LOOK))
    names = start[0] if tables.has_header(start) else None
    lines = tables.named(names, chain(start[1:], rows)) if names else map(tables.line, chain(start, rows))
    while block := list(islice(lines, BLOCK)):
        draft.add("table", "\n".join(block))


def _filled(row: tables.Row) -> bool:
    return any(map(str.strip, row))


def _dialect(text: str) -> type[csv.Dialect]:
    """The separator of the first line that stands as often in the most others. csv.Sniffer takes minutes on some files."""
    lines = [line for line in text[:SAMPLE].splitlines()[:LINES] if line.strip()]

    def agree(mark: str) -> tuple[int, int]:
        count = lines[0].count(mark) if lines else 0
        return sum(line.count(mark) == count for line in lines) if count else 0, count

    found = max(SEPARATORS, key=agree)

    class Found(csv.excel):
        delimiter = found

    return Found
