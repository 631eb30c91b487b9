"""Styles of a Word document, and the character formatting that a run gets from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from docx.document import Document
from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement as Element

from retrieval.parse.common.colours import UNKNOWN, WHITE, parse_colour

PARAGRAPH, VALUE, FILL = map(qn, ("w:p", "w:val", "w:fill"))
OFF = ("0", "false", "off")
HIGHLIGHTS = {"none": None, "white": WHITE, "black": "000000"}  # highlight colours; others are UNKNOWN
MAX_STYLE_DEPTH = 20  # base styles followed
RAISED = 4  # half-points above the line; less is kerning

Place = Literal["superscript", "subscript", "baseline"]


@dataclass(frozen=True, slots=True)
class TextStyle:
    """None: not set here."""

    hidden: bool | None = None
    struck: bool | None = None
    place: Place | None = None
    size: int | None = None  # half-points
    colour: str | None = None  # UNKNOWN: automatic
    background: str | None = None  # of the run
    paragraph_background: str | None = None  # of the paragraph


class Styles:
    """The styles of one document. A style without identifier is none that text could have."""

    def __init__(self, document: Document) -> None:
        root: Element = document.styles.element
        found = list(root.iterchildren(qn("w:style")))
        self._styles = {name: style for style in found if (name := style.get(qn("w:styleId")))}
        self._default_style = next((style.get(qn("w:styleId"), "") for style in found if _is_default_style(style)), "")
        self._defaults = _own_style(root.find(f"{qn('w:docDefaults')}/{qn('w:rPrDefault')}"))
        self._cache: dict[str, TextStyle] = {}

    def chain(self, name: str) -> Iterator[Element]:
        """The style of this identifier, then its base styles."""
        for _ in range(MAX_STYLE_DEPTH):
            if (style := self._styles.get(name)) is None:
                return
            yield style
            name = value_of(style, "w:basedOn")

    def of_paragraph(self, paragraph: Element | None) -> str:
        """The identifier of the paragraph's style."""
        return ("" if paragraph is None else value_of(paragraph, "w:pPr/w:pStyle")) or self._default_style

    def names(self, paragraph: Element) -> list[str]:
        """Names of the paragraph's style and of its base styles, in lower case."""
        return [value_of(style, "w:name").lower() for style in self.chain(self.of_paragraph(paragraph))]

    def of_run(self, run: Element) -> TextStyle:
        paragraph = next(run.iterancestors(PARAGRAPH), None)
        above = TextStyle(paragraph_background=None if paragraph is None else shading(paragraph, "w:pPr/w:shd"))
        named = self._named(value_of(run, "w:rPr/w:rStyle"))
        return _first_set(_own_style(run), above, named, self._named(self.of_paragraph(paragraph)), self._defaults)

    def _named(self, name: str) -> TextStyle:
        if name not in self._cache:
            self._cache[name] = _first_set(*map(_own_style, self.chain(name)))
        return self._cache[name]


def path(names: str) -> str:
    """`w:pPr/w:shd` as lxml takes it."""
    return "/".join(map(qn, names.split("/")))


def value_of(element: Element, names: str) -> str:
    found = element.find(path(names))
    return "" if found is None else found.get(VALUE, "")


def switched_on(element: Element | None) -> bool | None:
    """Of a property that is either on or off. None: not set."""
    return None if element is None else element.get(VALUE, "1").lower() not in OFF


def shading(element: Element, names: str) -> str | None:
    """Colour of the element's shading; `names` "": of any shading below it. None: no shading."""
    for found in element.iter(qn("w:shd")) if not names else element.findall(path(names)):
        fill, pattern = found.get(FILL, "auto").lower(), found.get(VALUE, "clear")
        if pattern not in ("clear", "nil"):
            return UNKNOWN
        if fill != "auto":
            return parse_colour(fill)
    return None


def _is_default_style(style: Element) -> bool:
    return style.get(qn("w:type")) == "paragraph" and style.get(qn("w:default"), "0") not in OFF


def _first_set(*styles_found: TextStyle) -> TextStyle:
    """For each property, the first value that is set."""
    said = {name: [getattr(style, name) for style in styles_found] for name in TextStyle.__dataclass_fields__}
    return TextStyle(**{name: next((value for value in values if value is not None), None) for name, values in said.items()})


def _own_style(element: Element | None) -> TextStyle:
    """Properties set on a run or a style itself."""
    if element is None or (properties := element.find(qn("w:rPr"))) is None:
        return TextStyle(paragraph_background=None if element is None else shading(element, "w:pPr/w:shd"))
    size, colour, marker = (properties.find(qn(name)) for name in ("w:sz", "w:color", "w:highlight"))
    half_points = "" if size is None else size.get(VALUE, "")
    marked = None if marker is None else HIGHLIGHTS.get(marker.get(VALUE, ""), UNKNOWN)
    struck = [on for name in ("w:strike", "w:dstrike") if (on := switched_on(properties.find(qn(name)))) is not None]
    return TextStyle(
        hidden=switched_on(properties.find(qn("w:vanish"))),
        struck=any(struck) if struck else None,
        place=_place(properties),
        size=int(half_points) if half_points.isdigit() else None,
        colour=None if colour is None else parse_colour(colour.get(VALUE, "")),
        background=marked or shading(properties, "w:shd"),
        paragraph_background=shading(element, "w:pPr/w:shd"),
    )


def _place(properties: Element) -> Place | None:
    match value_of(properties, "w:vertAlign"):
        case "superscript":
            return "superscript"
        case "subscript":
            return "subscript"
        case "baseline":
            return "baseline"
        case _:
            return _shifted(value_of(properties, "w:position"))


def _shifted(half_points: str) -> Place | None:
    """Raised or lowered by hand."""
    digits = half_points.removeprefix("-")
    if not digits.isdigit() or int(digits) < RAISED:
        return None
    return "subscript" if half_points.startswith("-") else "superscript"
