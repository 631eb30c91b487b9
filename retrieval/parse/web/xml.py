"""XML: feeds entry by entry, texts such as DocBook as text, data as one line for each value after its path."""

import re
from typing import Any

from lxml.etree import XMLParser, XMLSyntaxError, fromstring

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.decoding.decode import read_text
from retrieval.parse.limits import ParseError
from retrieval.parse.plain import data as json_data
from retrieval.parse.plain import text as plain_text
from retrieval.parse.web import feed, html

_DECLARATION = re.compile(r"\A\s*<\?xml\b[^>]*\?>")
_FEEDS = ("rss", "feed", "RDF", "channel")
_TITLES = ("title", "head", "heading", "subtitle", "bridgehead")
_HEADS = (*_TITLES, "info", "articleinfo", "bookinfo", "front", "teiHeader", "prolog")  # of the element that they stand in
_CODE = ("programlisting", "screen", "literallayout", "code", "pre", "codeblock", "synopsis")
NOT_XML_NOTE = "the file is not valid XML and was read as plain text"


def read(data: bytes, builder: DocumentBuilder) -> None:
    source = _DECLARATION.sub("", read_text(data, builder.add_note, declared=True))
    try:
        root = fromstring(
            source.encode("utf-8", "replace"),
            XMLParser(resolve_entities="internal", no_network=True, remove_comments=True, remove_pis=True),
        )
    except XMLSyntaxError as error:
        if "entity" in str(error).lower() and ("loop" in str(error).lower() or "amplification" in str(error).lower()):
            raise ParseError("the file declares entities that expand without bound, as an XML bomb does") from error
        builder.add_note(NOT_XML_NOTE)
        plain_text.write(source, builder)
        return
    _write(root, source, builder)


def _write(root: Any, source: str, builder: DocumentBuilder) -> None:
    name = local_name(root)
    if name == "html":
        html.write(source, builder)
    elif name in _FEEDS and any(local_name(element) in ("item", "entry") for element in root.iter()):
        feed.write(root, builder)
    elif _is_text(root):
        _Text(builder).write(root, 1)
    else:
        json_data.write("", {name: _value(root)}, builder)


def local_name(element: Any) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _is_text(root: Any) -> bool:
    """Whether words stand beside elements somewhere, as in text and not in data."""
    return any(_has_words(element.text) or any(_has_words(child.tail) for child in element) for element in root.iter() if len(element))


def _has_words(text: str | None) -> bool:
    return any(map(str.isalpha, text or ""))


def _value(element: Any) -> Any:
    """The value that JSON would have: attributes and elements are members, elements of the same name a list."""
    members: dict[str, Any] = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    own = (element.text or "").strip()
    if not members and not len(element):
        return own
    for child in element:
        name, value = local_name(child), _value(child)
        known = members.get(name)
        members[name] = value if known is None else [*known, value] if isinstance(known, list) else [known, value]
    return {**members, "text": own} if own else members


class _Text:
    """Writes the blocks of a text; an element with words of its own is a paragraph."""

    def __init__(self, builder: DocumentBuilder) -> None:
        self._builder = builder

    def write(self, element: Any, level: int) -> None:
        name = local_name(element)
        if name in _TITLES:
            self._builder.add_heading(_words(element), level)
        elif name in _CODE:
            self._builder.add_block("code", "".join(element.itertext()))
        elif name in ("row", "tr"):
            self._builder.add_block("paragraph", "; ".join(filter(None, map(_words, element))))
        elif not len(element) or _has_words(element.text) or any(_has_words(child.tail) for child in element):
            self._builder.add_block("paragraph", _words(element))
        else:
            titled = any(local_name(child) in _HEADS for child in element)
            for child in element:
                self.write(child, level if local_name(child) in _HEADS else level + titled)


def _words(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())
