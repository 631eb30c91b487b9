"""HTML: the main text with headings, lists, tables and code. Text that a browser would not display is left out."""

import re
from collections.abc import Iterator

from lxml import html
from lxml.etree import ParserError

from retrieval.parse.common import tables
from retrieval.parse.common.builder import HIDDEN_TEXT_NOTE, DocumentBuilder
from retrieval.parse.common.decoding.decode import read_text
from retrieval.parse.common.grid import Cell
from retrieval.parse.limits import ParseError
from retrieval.parse.web.hidden_text import HiddenText

Element = html.HtmlElement

_SKIP = (
    "script style template noscript svg canvas iframe object embed applet audio video map head title link meta button select input "
    "textarea datalist progress meter dialog nav menu rp"
)
PAGE_FURNITURE = frozenset(("footer", "aside"))  # skipped outside the main text; inside it they are content
_INLINE = (
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark math output q rb rt ruby s samp small span strike "
    "strong sub sup time tt u var wbr"
)
SKIP, INLINE = frozenset(_SKIP.split()), frozenset(_INLINE.split())
HEADINGS = {f"h{level}": level for level in range(1, 7)}
BREAK = "\u2028"  # stands for <br> while other white space is collapsed
ANCHORS = " \t\n§¶"  # link signs that site generators put beside headings
STRUCTURE = frozenset((*HEADINGS, "table", "pre"))


def read(data: bytes, builder: DocumentBuilder) -> None:
    write(read_text(data, builder.add_note, declared=True), builder)


def write(text: str, builder: DocumentBuilder) -> None:
    root = parse(text)
    if root is None:
        return
    builder.set_title(next((title.text_content() for title in root.iter("title")), None))
    hidden, body, before = HiddenText(root, SKIP), next(root.iter("body"), root), builder.size
    main = _main(body, hidden)
    if main is not None:
        BlockWriter(builder, hidden, SKIP).read(main)
    if builder.size == before:
        BlockWriter(builder, hidden, SKIP | PAGE_FURNITURE).read(body)
    if builder.size == before:  # the whole page is footer or aside
        BlockWriter(builder, hidden, SKIP).read(body)
    if hidden.found:
        builder.add_note(HIDDEN_TEXT_NOTE)


def parse(text: str) -> Element | None:
    """None for an empty document. Encoding declarations in the text are ignored: it is decoded already."""
    data = text.replace("\0", "").encode("utf-8", "replace")
    parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True, huge_tree=True)
    try:
        root = html.document_fromstring(data, parser=parser)
    except ParserError:  # "Document is empty"
        return None
    if any(error.type_name == "ERR_RESOURCE_LIMIT" for error in parser.error_log):
        raise ParseError("the page is nested too deeply")  # the parser drops the rest
    return root


def _main(body: Element, hidden: HiddenText) -> Element | None:
    for tag in ("main", "article"):
        found = [element for element in body.iter(tag) if not hidden(element)]
        if len(found) == 1:
            return found[0]
    return None


class BlockWriter:
    """Adds an element tree to the builder in one pass. Inline text collects in `_line` until a block begins or ends."""

    def __init__(self, builder: DocumentBuilder, hidden: HiddenText, skip: frozenset[str]) -> None:
        self._builder, self._hidden, self._skip = builder, hidden, skip
        self._line: list[str] = []

    def read(self, element: Element) -> None:
        self._inside(element)
        self._flush()

    def _inside(self, element: Element) -> None:
        self._line.append(element.text or "")
        for child in element:
            if isinstance(child.tag, str) and not self._is_hidden(child):
                self._element(child, child.tag)
            self._line.append(child.tail or "")

    def _is_hidden(self, element: Element) -> bool:
        return element.tag in self._skip or self._hidden(element)

    def _element(self, element: Element, tag: str) -> None:
        if tag == "br":
            self._line.append(BREAK)
        elif tag == "img":
            self._line.append(f" {element.get('alt', '')} ")
        elif tag in INLINE:
            self._inside(element)
        else:
            self._flush()
            self._block(element, tag)
            self._flush()

    def _block(self, element: Element, tag: str) -> None:
        if tag in HEADINGS:
            self._builder.add_heading(self._text(element).strip(ANCHORS), HEADINGS[tag])
        elif tag == "pre":
            self._builder.add_block("code", self._text(element))
        elif tag == "table" and not _is_layout_table(element):
            self._table(element)
        elif tag in ("ul", "ol", "dl") and not _contains(element, STRUCTURE):
            self._builder.add_block("list", "\n".join(self._items(element, 0)))
        else:
            self._inside(element)

    def _flush(self) -> None:
        self._builder.add_block("paragraph", _join_inline(self._line))
        self._line.clear()

    def _text(self, element: Element) -> str:
        return "".join(self._strings(element))

    def _strings(self, element: Element) -> Iterator[str]:
        yield element.text or ""
        for child in element:
            if isinstance(child.tag, str) and not self._is_hidden(child):
                around = "" if child.tag in INLINE else "\n" if child.tag == "br" else " "
                yield around
                yield child.get("alt", "") if child.tag == "img" else self._text(child)
                yield around if child.tag != "br" else ""
            yield child.tail or ""

    def _items(self, element: Element, depth: int) -> Iterator[str]:
        """One line per item; nested items are indented."""
        for number, item in enumerate(element.iterchildren("li", "dt", "dd", "ul", "ol", "div"), 1):
            if self._is_hidden(item):
                continue
            if item.tag in ("ul", "ol", "div"):
                yield from self._items(item, depth + (item.tag != "div"))
                continue
            inner = [child for child in item.iterchildren("ul", "ol", "dl") if not self._is_hidden(child)]
            text = tables.collapse_spaces(self._text_without(item, inner))
            mark = {"dt": "", "dd": "  "}.get(item.tag, f"{number}. " if element.tag == "ol" else "- ")
            if text:
                yield f"{'  ' * depth}{mark}{text}"
            for below in inner:
                yield from self._items(below, depth + 1)

    def _text_without(self, item: Element, inner: list[Element]) -> str:
        if not inner:
            return self._text(item)
        parts = [item.text or ""]
        for child in item:
            if child not in inner and isinstance(child.tag, str) and not self._is_hidden(child):
                parts += [self._text(child)] if child.tag in INLINE else [" ", self._text(child), " "]
            parts.append(child.tail or "")
        return "".join(parts)

    def _table(self, element: Element) -> None:
        caption = next(element.iterchildren("caption"), None)
        if caption is not None:
            self._builder.add_block("paragraph", tables.collapse_spaces(self._text(caption)))
        rows = [row for row in element.iter("tr") if not self._is_hidden(row)]
        self._builder.add_block("table", tables.render([self._cell(cell) for cell in self._cells(row)] for row in rows))

    def _cells(self, row: Element) -> Iterator[Element]:
        return (cell for cell in row.iterchildren("th", "td") if not self._is_hidden(cell))

    def _cell(self, cell: Element) -> Cell:
        text = tables.collapse_spaces(self._text(cell))
        return Cell(text, _span(cell, "rowspan"), _span(cell, "colspan") or 1, cell.tag == "th")


def _span(cell: Element, name: str) -> int:
    value = cell.get(name, "1").strip()
    return int(value) if value.isdecimal() and len(value) < 6 else 1


def _contains(element: Element, tags: frozenset[str]) -> bool:
    return any(True for _ in element.iterdescendants(*tags))


def _is_layout_table(table: Element) -> bool:
    """A table used only for page layout."""
    rows = list(table.iter("tr"))
    return _contains(table, STRUCTURE) or max((sum(1 for _ in row.iterchildren("th", "td")) for row in rows), default=0) < 2


def _join_inline(line: list[str]) -> str:
    """Collapses white space as a browser does; only <br> becomes a newline."""
    return re.sub(r"[ \t\n\r\f]+", " ", "".join(line)).replace(BREAK, "\n")
