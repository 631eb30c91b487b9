"""Collects the runs of an RTF file's text and writes them as paragraphs, headings, lists and tables."""

from itertools import groupby

from retrieval.parse.common import tables, typography
from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.rtf.cells import RowCell, in_columns

_MARKS = {"super": typography.superscript, "sub": typography.subscript, "strike": typography.struck}
_BULLETS = "•·▪◦§oØü-–\uf0b7\uf0a7\uf0d8"  # letters of symbol fonts that stand for bullets


class ParagraphWriter:
    """`heading` (level, 0: none) and `in_table` are properties of the current paragraph."""

    def __init__(self, builder: DocumentBuilder) -> None:
        self.heading, self.in_table = 0, False
        self.runs: list[tuple[str, str]] = []  # mark and text
        self._builder = builder
        self._number = ""  # of the list item
        self._items: list[str] = []
        self._cell: list[str] = []  # paragraphs of the cell
        self._row: list[str] = []
        self._rows: list[list[RowCell]] = []
        self.merge = ""  # of the cell being defined: "left" or "up", the neighbour that it continues
        self._definitions: list[tuple[str, int]] = []  # of the row's cells: merge and right edge

    def add(self, text: str, mark: str) -> None:
        self.runs.append((mark, text))

    def set_number(self, text: str) -> None:
        number = text.strip()
        self._number = "- " if len(number) == 1 and number in _BULLETS else f"{number} " if number else ""

    def reset(self) -> None:
        self.heading, self.in_table = 0, False

    def begin_row(self) -> None:
        """Its cells are defined after this."""
        self._definitions, self.merge = [], ""

    def end_cell_definition(self, right: int) -> None:
        """`right`: edge of the cell."""
        self._definitions.append((self.merge, right))
        self.merge = ""

    def end_paragraph(self) -> None:
        text, number = self._taken(), self._number
        self._number = ""
        if self.in_table:
            self._cell.append(f"{number}{text}")
            return
        self._end_table()
        if number and text.strip() and not self.heading:
            self._items.append(f"{number}{text.strip()}")
            return
        self._end_list()
        if self.heading:
            self._builder.add_heading(f"{number}{text.strip()}", self.heading)
        else:
            self._builder.add_block("paragraph", text)

    def end_cell(self) -> None:
        self._cell.append(f"{self._number}{self._taken()}")
        self._number = ""
        self._row.append(" ".join(self._cell))
        self._cell.clear()

    def end_row(self) -> None:
        known = len(self._definitions) == len(self._row)
        definitions = self._definitions if known else [("", column) for column in range(1, len(self._row) + 1)]
        self._rows.append([RowCell(text.strip(), *definition) for text, definition in zip(self._row, definitions, strict=True)])
        self._row.clear()

    def end(self) -> None:
        self.end_paragraph()
        self._end_table()
        self._end_list()

    def text_since(self, run: int) -> str:
        return "".join(text for _, text in self.runs[run:])

    def _taken(self) -> str:
        """The text of the runs; neighbours with the same mark are one."""
        parts = [(mark, "".join(text for _, text in runs)) for mark, runs in groupby(self.runs, key=lambda run: run[0])]
        self.runs.clear()
        return "".join(_MARKS[mark](text) if mark else text for mark, text in parts)

    def _end_table(self) -> None:
        if self._row:
            self.end_row()
        if self._rows:
            self._end_list()
            self._builder.add_block("table", tables.render(in_columns(self._rows)))
            self._rows.clear()

    def _end_list(self) -> None:
        self._builder.add_block("list", "\n".join(self._items))
        self._items.clear()
