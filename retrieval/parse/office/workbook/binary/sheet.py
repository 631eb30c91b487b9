"""A sheet of a binary workbook, as its readers give it and the document takes it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.office import visibility
from retrieval.parse.office.workbook.merged import MergedCells, Range
from retrieval.parse.plain import csv_tables

Row = tuple[int, dict[int, str]]  # number of the row, and its texts by column; both from 1


@dataclass(slots=True)
class Sheet:
    """`rows` ascend; rows without text may be left out. `comments`: lines below the table."""

    name: str
    rows: Iterable[Row]
    merged: Mapping[int, list[Range]] = field(default_factory=dict[int, list[Range]])  # by their first row
    comments: Iterable[str] = ()
    hidden: bool = False
    hidden_rows: bool = False  # some rows or columns are hidden
    beside: Callable[[DocumentBuilder], None] = lambda builder: None  # writes what else lies on the sheet

    def write(self, number: int, builder: DocumentBuilder) -> None:
        """`number`: of the sheet in the workbook, from 1."""
        builder.page = number
        builder.set_headings(())
        rows, comments = list(self._texts()), list(self.comments)
        if any(map(any, rows)) or comments:
            builder.add_heading(visibility.heading(self.name, "sheet", hidden=self.hidden), 1)
        csv_tables.write(rows, builder)
        for comment in comments:
            builder.add_block("paragraph", comment)
        self.beside(builder)
        if self.hidden_rows:
            visibility.note_hidden_rows(builder, self.name)

    def _texts(self) -> Iterator[list[str]]:
        """An empty row stands for any number of them."""
        merged, before = MergedCells(self.merged), 0
        for number, texts in self.rows:
            if number > before + 1:
                yield []
            before = number
            yield from merged.complete(number, texts)
