"""AsciiDoc: translated to HTML and read as such. Nothing is included from other files."""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.decoding.decode import read_text
from retrieval.parse.markup.asciidoc_inline import inline
from retrieval.parse.markup.lines import LineReader, code_html, list_html, table_html
from retrieval.parse.web import html

_HEADING = re.compile(r"(={1,6}|#{1,6})\s+(\S.*?)(?:\s+\1)?\s*$")
_ATTRIBUTE = re.compile(r":!?([\w-]+)!?:(?:\s+(.*))?$")
_BLOCK_ATTRIBUTES = re.compile(r"\[([^\[\]]*)\]\s*$")
_DELIMITER = re.compile(r"(-{4,}|\.{4,}|\+{4,}|/{4,}|={4,}|\*{4,}|_{4,}|--|```\w*|[|,:!]={3,})\s*$")
_TITLE = re.compile(r"\.([^\s.].*)$")
_ITEM = re.compile(r"\s*(\*{1,5}|-|\.{1,5}|\d{1,6}\.|<(?:\d+|\.)>)\s+(\S.*)")
_TERM = re.compile(r"(\S.*?)(:{2,4}|;;)(?:\s+(.*))?$")
_MACRO = re.compile(r"(image|video|audio|include|toc|ifdef|ifndef|ifeval|endif|kroki|plantuml)::?(\S*?)\[(.*)\]\s*$")
_UNSHOWN = re.compile(r"//(?!/)|'{3,}\s*$|<<<\s*$|\+\s*$")
_CELL = re.compile(r"(?:^|(?<=\s))(?:(\d*)(?:\.(\d+))?([+*]))?(?:[<^>](?:\.[<^>])?)?([adehlmsv])?(?<!\\)\|")
_COLUMNS = re.compile(r"cols\s*=\s*\"?([^\"\]]*)")


def read(data: bytes, builder: DocumentBuilder) -> None:
    lines = re.split("\r\n?|\n", read_text(data, builder.add_note))
    html.write(f"<body><main>{_Page(lines).html()}</main></body>", builder)


class _Page:
    """`attributes`: what {name} stands for."""

    def __init__(self, lines: list[str], attributes: dict[str, str] | None = None) -> None:
        self._reader = LineReader(lines)
        self._attributes = {} if attributes is None else attributes
        self._given = ""  # block attributes for the next block

    def html(self) -> str:
        return "".join(self._blocks())

    def _blocks(self) -> Iterator[str]:
        while self._reader:
            given, self._given = self._given, ""
            yield self._block(self._reader.line, given)

    def _block(self, line: str, given: str) -> str:
        reader = self._reader
        if delimiter := _DELIMITER.match(line):
            return self._delimited(delimiter[1], given)
        if heading := _HEADING.match(line):
            reader.take()
            level = min(len(heading[1]), 6)
            text = self._inline(heading[2])
            return f"<title>{text}</title>" * (level == 1) + f"<h{level}>{text}</h{level}>"
        if attribute := _ATTRIBUTE.match(line):
            reader.take()
            self._attributes[attribute[1].lower()] = attribute[2] or ""
            return ""
        if found := _BLOCK_ATTRIBUTES.match(line):
            reader.take()
            self._given = f"{given} {found[1]}"
            return ""
        if title := _TITLE.match(line):
            reader.take()
            self._given = given
            return f"<p>{self._inline(title[1])}</p>"
        if macro := _MACRO.match(line):
            reader.take()
            return f"<p>{self._inline(macro[3].split(',')[0])}</p>" if macro[1] in ("image", "video", "audio") else ""
        if _ITEM.match(line):
            return self._list()
        if not line.strip() or _UNSHOWN.match(line):
            reader.take()
            self._given = given if not line.strip() else ""
            return ""
        return self._paragraph(given)

    def _paragraph(self, given: str) -> str:
        indented = self._reader.line[:1].isspace()
        is_term = bool(_TERM.match(self._reader.line))
        lines = [self._reader.take(), *self._reader.take_while(lambda line: _is_prose(line) and not (is_term and _TERM.match(line)))]
        if indented or given.split(",")[0].strip() in ("source", "listing", "literal"):
            return code_html(lines)
        if term := _TERM.match(lines[0]):
            below = " ".join(filter(None, [term[3], *map(str.strip, lines[1:])]))
            return f"<dl><dt>{self._inline(term[1])}</dt><dd>{self._inline(below)}</dd></dl>"
        text = " ".join(line.removesuffix(" +") + "\n" * line.endswith(" +") for line in lines)
        return f"<p>{'<br>'.join(map(self._inline, text.split(chr(10))))}</p>"

    def _delimited(self, delimiter: str, given: str) -> str:
        self._reader.take()
        end = "```" if delimiter.startswith("```") else delimiter
        lines = self._reader.take_until(lambda line: line.rstrip() == end)
        if delimiter[0] in "|,:!" and delimiter.endswith("==="):
            return self._table(lines, given, delimiter[0])
        if delimiter[:4] in ("----", "....") or end == "```" or given.split(",")[0].strip() in ("source", "listing"):
            return code_html(re.sub(r"\s*(?://|#|;;)?\s*(?:<\d+>\s*)+$", "", line) for line in lines)
        if delimiter.startswith("/"):
            return ""
        if delimiter.startswith("+"):  # HTML as it stands
            return "\n".join(lines)
        return f"<div>{_Page(lines, self._attributes).html()}</div>"

    def _list(self) -> str:
        items, marks = list[tuple[int, int | None, str]](), list[str]()
        callouts = self._reader.line.lstrip().startswith("<")
        while self._reader and (item := _ITEM.match(self._reader.line)) and item[1].startswith("<") == callouts:
            self._reader.take()
            kind = "1." if item[1][0].isdigit() else item[1]
            marks = marks[: marks.index(kind) + 1] if kind in marks else [*marks, kind]
            number = None if kind[0] in "*-" else int(item[1][:-1]) if kind == "1." else 0
            text = self._inline(" ".join([item[2], *map(str.strip, self._reader.take_while(_is_prose))]))
            items.append((len(marks), number, text + self._attached()))
            if _ITEM.match(self._reader.text_ahead):
                self._reader.take_while(lambda line: not line.strip())
        return list_html(items)

    def _attached(self) -> str:
        """The blocks that lines with a + attach to an item."""
        parts = list[str]()
        while self._reader and self._reader.line.rstrip() == "+":
            self._reader.take()
            part = ""
            while self._reader and not part:
                given, self._given = self._given, ""
                part = self._block(self._reader.line, given)
            parts.append(part)
        return "".join(parts)

    def _table(self, lines: list[str], given: str, separator: str) -> str:
        if separator != "|" or "format=" in given:
            separator = ":" if separator == ":" or "dsv" in given else "\t" if "tsv" in given else ","
            rows = csv.reader(lines, delimiter=separator)
            return table_html([list(map(self._inline, row)) for row in rows if row], int("header" in given))
        first = next((at for at, line in enumerate(lines) if line.strip()), 0)
        columns = _columns(given) or sum(cell.columns for cell in _cells(lines[first : first + 1]))
        headed = "header" in given or "%header" in given or lines[first + 1 : first + 2] == [""]
        return _grid_html(_cells(lines), max(columns, 1), headed, self._inline)

    def _inline(self, text: str) -> str:
        return inline(text, self._attributes)


def _is_prose(line: str) -> bool:
    if not line.strip() or line.rstrip() == "+":
        return False
    return not any(
        start.match(line) for start in (_DELIMITER, _ATTRIBUTE, _BLOCK_ATTRIBUTES, _ITEM, _UNSHOWN, _MACRO)
    ) and not _HEADING.match(line)


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    columns: int
    rows: int


def _columns(given: str) -> int:
    """Number of columns, as in cols="1,2" or cols="3*"; 0: not given."""
    found = _COLUMNS.search(given)
    parts = [part.strip() for part in found[1].split(",")] if found else []
    return sum(int(repeated[1]) if (repeated := re.match(r"(\d{1,3})\*", part)) else 1 for part in parts)


def _cells(lines: list[str]) -> list[_Cell]:
    text, cells = "\n".join(lines), list[_Cell]()
    starts = list(_CELL.finditer(text))
    for start, end in zip(starts, [*(each.start() for each in starts[1:]), len(text)], strict=False):
        inner = text[start.end() : end].strip().replace("\\|", "|")
        repeats = int(start[1] or 1) if start[3] == "*" else 1
        span = (int(start[1] or 1), int(start[2] or 1)) if start[3] == "+" else (1, 1)
        cells += [_Cell(inner, *span)] * min(repeats, 100)
    return cells


def _grid_html(cells: list[_Cell], columns: int, headed: bool, inline_html: Callable[[str], str]) -> str:
    rows, taken, width = [list[str]()], [0] * columns, 0  # taken: rows that cells from above still cover, by column
    for cell in cells:
        while width < columns and taken[width]:
            width += 1
        if width >= columns:
            rows, taken, width = [*rows, []], [max(each - 1, 0) for each in taken], 0
            while width < columns - 1 and taken[width]:
                width += 1
        for column in range(width, min(width + cell.columns, columns)):
            taken[column] = cell.rows
        tag = "th" if headed and len(rows) == 1 else "td"
        rows[-1].append(f'<{tag} colspan="{cell.columns}" rowspan="{cell.rows}">{inline_html(cell.text)}</{tag}>')
        width += cell.columns
    return f"<table>{''.join(f'<tr>{chr(10).join(row)}</tr>' for row in rows)}</table>"
