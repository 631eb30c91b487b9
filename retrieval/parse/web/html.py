"""HTML: the main text with headings, lists, tables and code. Text that a browser would not display is left out."""

from collections.abc import Mapping
from types import MappingProxyType

from lxml import html
from lxml.etree import ParserError

from retrieval.parse.common.builder import HIDDEN_TEXT_NOTE, DocumentBuilder
from retrieval.parse.common.decoding.decode import read_text
from retrieval.parse.limits import ParseError
from retrieval.parse.web.blocks import BlockWriter
from retrieval.parse.web.hidden_text import HiddenText
from retrieval.parse.web.inline import InlineText
from retrieval.parse.web.main_text import FURNITURE, main_text

Element = html.HtmlElement

_SKIP = (
    "script style template noscript canvas iframe object embed applet audio video map head title link meta button datalist progress meter "
    "dialog nav menu rp rt rtc"
)
SKIP = frozenset(_SKIP.split())


def read(data: bytes, builder: DocumentBuilder) -> None:
    write(read_text(data, builder.add_note, declared=True), builder)


def write(text: str, builder: DocumentBuilder, sheets: Mapping[str, str] = MappingProxyType({})) -> None:
    """`sheets`: style sheets that come with the page, by the names it links to."""
    root = parse(text)
    if root is None:
        return
    for link in [link for link in root.iter("link") if link.get("href") in sheets]:
        link.tag, link.text = "style", sheets[link.get("href", "")]
        del link.attrib["rel"]
    builder.set_title(next((title.text_content() for title in root.iter("title")), None))
    hidden, body, before = HiddenText(root, SKIP), next(root.iter("body"), root), builder.size
    main = main_text(body, hidden, SKIP)
    if main is not None:
        BlockWriter(builder, InlineText(root, hidden, SKIP)).read(main)
    if builder.size == before:
        BlockWriter(builder, InlineText(root, hidden, SKIP | FURNITURE)).read(body)
    if builder.size == before:  # the whole page is footer or aside
        BlockWriter(builder, InlineText(root, hidden, SKIP)).read(body)
    if hidden.found:
        builder.add_note(HIDDEN_TEXT_NOTE)


def count_words(text: str) -> int:
    """About as many as a reader sees."""
    root = parse(text)
    shown = (element for element in root.iter() if element.tag not in SKIP) if root is not None else ()
    return sum(len(f"{element.text or ''} {element.tail or ''}".split()) for element in shown)


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
