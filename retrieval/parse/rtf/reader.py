"""Rich Text Format: paragraphs, headings, lists, tables, links. Deleted and hidden text is left out."""

import re
from dataclasses import replace

from retrieval.parse.common import links
from retrieval.parse.common.builder import HIDDEN_TEXT_NOTE, DocumentBuilder
from retrieval.parse.rtf.groups import Group, formatted
from retrieval.parse.rtf.paragraphs import ParagraphWriter
from retrieval.parse.rtf.tables_of_file import file_tables
from retrieval.parse.rtf.tokens import Brace, Bytes, Word, tokens

_SKIPPED = (
    "fonttbl colortbl stylesheet info pict objdata nonshppict annotation atnid atnauthor xe tc rxe upr comment private generator themedata "
    "filetbl revtbl listtable sn sv"
)
SKIPPED = frozenset(_SKIPPED.split())
STARRED = frozenset(("fldinst", "shpinst", "shptxt", "ud", "footnote"))  # destinations that are read though marked as ignorable
SKIP, FIELD, NUMBER, MARGIN = "skip", "field", "number", "margin"  # destinations
_MARGINS = re.compile(r"(?:header|footer)[lrf]?")  # on pages of the left, the right, on the first
_SIGNS = {
    "tab": "\t", "line": "\n", "lbr": "\n", "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”",
    "bullet": "•", "emspace": " ", "enspace": " ", "qmspace": " ", "~": "\u00a0", "_": "-", "{": "{", "}": "}", "\\": "\\",
}  # fmt: skip
_TITLE = re.compile(rb"\{\\title ([^{}\\]*)\}")
_LINK = re.compile(r'HYPERLINK\s+(?:\\\\?l\s+)?"?([^"\s]+)', re.I)


class _Reader:
    def __init__(self, data: bytes, builder: DocumentBuilder) -> None:
        self._builder, self._tables = builder, file_tables(data)
        self._writer = ParagraphWriter(builder)
        self._group = Group(self._tables.codec)
        self._stack: list[Group] = []
        self._pending = bytearray()  # text not yet decoded
        self._skip = 0  # characters after \u
        self._surrogate = ""
        self._field, self._number, self._margin = "", "", ""
        self._margins: dict[str, None] = {}  # headers and footers already read
        self._footers: list[str] = []
        self._starred = False

    def read(self, data: bytes) -> None:
        for token in tokens(data):
            match token:
                case Bytes(text):
                    self._add_bytes(text)
                case Brace(opens):
                    self._flush()
                    self._open() if opens else self._close()
                case Word(name, number):
                    self._word(name, number)
        self._flush()
        self._writer.end()
        for footer in self._footers:
            self._builder.add_block("paragraph", footer)

    def _open(self) -> None:
        self._stack.append(self._group)
        self._group = replace(self._group, result_start=-1)
        self._starred, self._skip = False, 0

    def _close(self) -> None:
        if self._group.result_start >= 0:
            self._end_field(self._group.result_start)
        if self._group.note and self._stack and not self._stack[-1].note:
            self._add(")")
        if self._group.destination == NUMBER and self._stack and self._stack[-1].destination != NUMBER:
            self._writer.set_number(self._number)
            self._number = ""
        if self._group.destination == MARGIN and self._stack and self._stack[-1].destination != MARGIN:
            self._end_margin(is_footer=self._group.footer)
        self._group = self._stack.pop() if self._stack else self._group
        self._skip = 0

    def _end_margin(self, *, is_footer: bool) -> None:
        """Headers stand where they are defined, before the text of their section, footers at the end, each text once."""
        text, self._margin = self._margin.strip(), ""
        if text in self._margins:
            return
        self._margins[text] = None
        if is_footer:
            self._footers.append(text)
        else:
            self._builder.add_block("paragraph", text)

    def _end_field(self, start: int) -> None:
        text, target = self._writer.text_since(start), _LINK.search(self._field)
        self._field = ""
        if target and text.strip():
            self._writer.add(links.with_target(text, target[1])[len(text.rstrip()) :], "")

    def _add_bytes(self, data: bytes) -> None:
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self._pending += data[skipped:]

    def _flush(self) -> None:
        if self._pending:
            text = self._pending.decode(self._group.codec, "replace")
            self._pending.clear()
            self._add("•" if self._group.symbols and len(text) == 1 else text)

    def _add(self, text: str) -> None:
        group = self._group
        if group.destination == FIELD:
            self._field += text
        elif group.destination == NUMBER:
            self._number += text
        elif group.destination == MARGIN:
            self._margin += text
        elif group.destination == SKIP or group.deleted:
            return
        elif group.hidden or (group.white and not group.shaded):
            self._builder.add_note(HIDDEN_TEXT_NOTE if any(map(str.isalnum, text)) else "")
        else:
            self._writer.add(text, group.mark)

    def _word(self, name: str, number: int | None) -> None:
        if name == "u":
            return self._unicode(number or 0)
        if self._skip and name not in ("*", "par"):
            self._skip -= 1
            return None
        self._flush()
        if name == "*":
            self._starred = True
        elif name in _SIGNS:
            self._add(_SIGNS[name])
        elif not self._set_destination(name):
            self._set_paragraph(name, number)
            self._group = formatted(self._group, name, number, self._tables)
        self._starred = self._starred and name == "*"
        return None

    def _unicode(self, number: int) -> None:
        self._flush()
        sign = chr(number & 0xFFFF)
        if "\ud800" <= sign < "\udc00":
            self._surrogate = sign
        else:
            self._add((self._surrogate + sign).encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
            self._surrogate = ""
        self._skip = self._group.uc

    def _set_destination(self, name: str) -> bool:
        if name in ("ud", "shptxt"):
            self._group = replace(self._group, destination="")
        elif self._group.destination == SKIP:
            return False
        elif name in ("listtext", "pntext"):
            self._group = replace(self._group, destination=NUMBER)
        elif _MARGINS.fullmatch(name):
            self._group = replace(self._group, destination=MARGIN, footer=name.startswith("footer"))
        elif name == "fldinst":
            self._group = replace(self._group, destination=FIELD)
        elif name == "fldrslt":
            self._group = replace(self._group, result_start=len(self._writer.runs))
        elif name == "upr" or name in SKIPPED or (self._starred and name not in STARRED) or name == "shpinst":
            self._group = replace(self._group, destination=SKIP)
        elif name == "footnote":
            self._add(" (")
            self._group = replace(self._group, note=True)
        else:
            return False
        return True

    def _set_paragraph(self, name: str, number: int | None) -> None:
        writer = self._writer
        if self._group.destination:
            self._margin += "\n" if self._group.destination == MARGIN and name == "par" else ""
            return
        if self._group.note or name == "nestcell":
            writer.add(" " if name in ("par", "nestcell") else "", "")
            return
        match name:
            case "par" | "sect" | "page":
                writer.end_paragraph()
            case "cell":
                writer.end_cell()
            case "row":
                writer.end_row()
            case "pard":
                writer.reset()
            case "intbl":
                writer.in_table = True
            case "s":
                writer.heading = self._tables.headings.get(number or 0, 0)
            case "outlinelevel" if number is not None and number < 9:
                writer.heading = writer.heading or number + 1
            case "trowd":
                writer.begin_row()
            case "clmrg" | "clvmrg":
                writer.merge = "left" if name == "clmrg" else "up"
            case "cellx":
                writer.end_cell_definition(number or 0)
            case _:
                pass


def read(data: bytes, builder: DocumentBuilder) -> None:
    if title := _TITLE.search(data[:65536]):
        builder.set_title(title[1].decode("cp1252", "replace"))
    _Reader(data, builder).read(data)
