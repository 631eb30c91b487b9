"""CSV, and rendering common to all data tables: each row repeats the column names."""

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import chain, groupby, islice

from retrieval.parse.common import tables
from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.decode import decode

SAMPLE_CHARACTERS = 64 * 1024  # characters from which the separator is detected
SEPARATORS = ",;\t|"
SAMPLE_LINES = 50  # of the sample
ROWS_PER_BLOCK = 50  # rows
HEADER_SAMPLE = 5  # rows from which a header is detected


def read(data: bytes, builder: DocumentBuilder) -> None:
    text = decode(data)
    csv.field_size_limit(builder.limits.characters)
    write(csv.reader(re.split("(?<=\n)", re.sub("\r\n?", "\n", text)), _dialect(text)), builder)


def write(rows: Iterable[tables.Row], builder: DocumentBuilder) -> None:
    """Empty rows separate tables."""
    for filled, region in groupby(rows, key=_has_text):
        if filled:
            _add_table(region, builder)


def _add_table(rows: Iterator[tables.Row], builder: DocumentBuilder) -> None:
    start = list(islice(rows, HEADER_SAMPLE))
    names = start[0] if tables.has_header(start) else None
    lines = tables.name_values(names, chain(start[1:], rows)) if names else map(tables.format_row, chain(start, rows))
    while block := list(islice(lines, ROWS_PER_BLOCK)):
        builder.add_block("table", "\n".join(block))


def _has_text(row: tables.Row) -> bool:
    return any(map(str.strip, row))


def _dialect(text: str) -> type[csv.Dialect]:
    """The separator that occurs as often in the first line as in most others. csv.Sniffer takes minutes on some files."""
    lines = [line for line in text[:SAMPLE_CHARACTERS].splitlines()[:SAMPLE_LINES] if line.strip()]

    def agree(mark: str) -> tuple[int, int]:
        count = lines[0].count(mark) if lines else 0
        return sum(line.count(mark) == count for line in lines) if count else 0, count

    found = max(SEPARATORS, key=agree)

    class Found(csv.excel):
        delimiter = found

    return Found
