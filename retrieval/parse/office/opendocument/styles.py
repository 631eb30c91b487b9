"""Styles of an OpenDocument file: what they say about text, lists and visibility."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from retrieval.parse.common.colours import look_alike, parse_colour
from retrieval.parse.office.opendocument.names import Element, q

MAX_DEPTH = 20  # parent styles followed
TINY_SIZE = 2.0  # points: text up to this size is unreadable


@dataclass(frozen=True, slots=True)
class TextStyle:
    """`place`: superscript, subscript or "" (on the line)."""

    place: str = ""
    struck: bool = False
    hidden: bool = False
    font: str = ""


class Styles:
    """All styles of one document, of content.xml and styles.xml."""

    def __init__(self, roots: list[Element]) -> None:
        self._styles: dict[tuple[str, str], Element] = {}
        self.lists: dict[str, Element] = {}
        self.outline: Element | None = None
        for root in roots:
            for style in root.iter(q("style:style"), q("style:default-style")):
                self._styles.setdefault((style.get(q("style:family"), ""), style.get(q("style:name"), "")), style)
            for style in root.iter(q("text:list-style")):
                self.lists.setdefault(style.get(q("style:name"), ""), style)
            self.outline = next(root.iter(q("text:outline-style")), self.outline)
        self._known: dict[tuple[str, str], TextStyle] = {}

    def chain(self, family: str, name: str) -> Iterator[Element]:
        """The style of this name, then its parents."""
        for _ in range(MAX_DEPTH):
            style = self._styles.get((family, name)) if name else None
            if style is None:
                return
            yield style
            name = style.get(q("style:parent-style-name"), "")

    def text(self, family: str, name: str) -> TextStyle:
        """Of a span (family text) or a paragraph."""
        if (family, name) not in self._known:
            self._known[family, name] = self._read(family, name)
        return self._known[family, name]

    def value(self, family: str, name: str, properties: str, attribute: str) -> str:
        """The first value of the chain, "" if it is not set."""
        found = (part.get(q(attribute)) for style in self.chain(family, name) for part in style.iterchildren(q(properties)))
        return next(filter(None, found), "")

    def _read(self, family: str, name: str) -> TextStyle:
        def of(attribute: str) -> str:
            return self.value(family, name, "style:text-properties", attribute)

        size = re.fullmatch(r"([\d.]+)pt", of("fo:font-size"))
        hidden = of("text:display") == "none" or (size is not None and float(size[1]) <= TINY_SIZE)
        return TextStyle(
            _place(of("style:text-position")),
            of("style:text-line-through-style") not in ("", "none") or of("style:text-line-through-type") not in ("", "none"),
            hidden or _is_invisible(of("fo:color"), of("fo:background-color")),
            re.sub(r"\d+$", "", of("style:font-name") or of("fo:font-family")),  # Symbol1 is a declaration of Symbol
        )


def _is_invisible(colour: str, background: str) -> bool:
    """Only where the text's own style says both: what lies behind a paragraph is not looked for."""
    return bool(colour and background) and look_alike(parse_colour(colour.removeprefix("#")), parse_colour(background.removeprefix("#")))


def _place(position: str) -> str:
    """`super 58%`, `sub`, or a percentage above or below the line."""
    first = position.partition(" ")[0]
    if first in ("super", "sub"):
        return f"{first}script"
    number = first.removesuffix("%")
    if re.fullmatch(r"-?\d+(?:\.\d+)?", number) and abs(float(number)) >= 10:
        return "subscript" if number.startswith("-") else "superscript"
    return ""
