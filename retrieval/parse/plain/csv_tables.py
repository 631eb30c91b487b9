"""CSV, and rendering common to all data tables: each row repeats the column names."""

import csv
import re
from collections import Counter
from collections.abc import Iterable
from itertools import groupby, islice

from retrieval.parse.common import tables
from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.decoding.decode import read_text
from retrieval.parse.common.header import Row

SAMPLE_CHARACTERS = 64 * 1024  # characters from which the separator is detected
SEPARATORS = "\t;|,"  # of equally likely ones the first: commas also stand in numbers and texts
SAMPLE_LINES = 50  # of the sample
ROWS_PER_BLOCK = 50  # rows
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_DECLARED = re.compile(r"sep=(.)")


def read(data: bytes, builder: DocumentBuilder) -> None:
    text = read_text(data, builder.add_note)
    csv.field_size_limit(builder.limits.characters)
    lines, separator = _lines(text)
    write(csv.reader(lines, delimiter=separator), builder)


def write(rows: Iterable[Row], builder: DocumentBuilder) -> None:
    """Empty rows separate tables."""
    for filled, region in groupby(rows, key=_has_text):
        lines = tables.name_rows(region) if filled else iter(())
        while block := list(islice(lines, ROWS_PER_BLOCK)):
            builder.add_block("table", "\n".join(block))


def _has_text(row: Row) -> bool:
    return any(map(str.strip, row))


def _separator(lines: list[str]) -> str:
    """The one that most lines hold equally often; csv.Sniffer takes minutes on some files. A title above the table, or decimal commas
    that most rows hold, occur in fewer lines than the separator does."""
    bare = [_QUOTED.sub("", line) for line in lines]

    def agreement(mark: str) -> int:
        counts = Counter(count for line in bare if (count := line.count(mark)))
        return max(counts.values(), default=0)

    return max(SEPARATORS, key=agreement)  # the first of equals


def _lines(text: str) -> tuple[list[str], str]:
    """Lines with their ends, and the separator: declared in a first line `sep=;`, as Excel does, or detected."""
    lines = re.split("(?<=\n)", re.sub("\r\n?", "\n", text))
    declared = _DECLARED.fullmatch(lines[0].strip())
    if declared:
        return lines[1:], declared[1]
    return lines, _separator([line for line in text[:SAMPLE_CHARACTERS].splitlines()[:SAMPLE_LINES] if line.strip()])
