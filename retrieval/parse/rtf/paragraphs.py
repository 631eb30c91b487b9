"""Collects the runs of an RTF file's text and writes them as paragraphs, headings, lists and tables."""

from dataclasses import replace
from itertools import groupby

from retrieval.parse.common import tables, typography
from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.grid import Cell

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
        self._rows: list[list[Cell]] = []
        self.merge = ""  # of the cell being defined: "left" or "up", the neighbour that it continues
        self._merges: list[str] = []

    def add(self, text: str, mark: str) -> None:
        self.runs.append((mark, text))

    def set_number(self, text: str) -> None:
        number = text.strip()
        self._number = "- " if len(number) == 1 and number in _BULLETS else f"{number} " if number else ""

    def reset(self) -> None:
        self.heading, self.in_table = 0, False

    def begin_row(self) -> None:
        """Its cells are defined after this."""
        self._merges, self.merge = [], ""

    def end_cell_definition(self) -> None:
        self._merges.append(self.merge)
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
        cells = list[Cell]()
        for column, text in enumerate(self._row):
            merge = self._merges[column] if column < len(self._merges) else ""
            if merge == "left" and cells:
                cells[-1] = replace(cells[-1], text=f"{cells[-1].text} {text}".strip(), columns=cells[-1].columns + 1)
            elif merge == "up" and self._rows and column < len(self._rows[-1]):
                cells.append(Cell(self._rows[-1][column].text))
            else:
                cells.append(Cell(text.strip()))
        self._rows.append(cells)
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
            self._builder.add_block("table", tables.render(self._rows))
            self._rows.clear()

    def _end_list(self) -> None:
        self._builder.add_block("list", "\n".join(self._items))
        self._items.clear()
