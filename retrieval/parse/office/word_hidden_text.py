"""Detects hidden text of a Word document: marked hidden, tiny, or in the colour of its background."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from docx.document import Document
from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement as Element

from retrieval.parse.common.colours import UNKNOWN, WHITE, look_alike, parse_colour

PARAGRAPH, CELL, TABLE, BOX, TEXT = map(qn, ("w:p", "w:tc", "w:tbl", "w:txbxContent", "w:t"))
VALUE, FILL = map(qn, ("w:val", "w:fill"))
OFF = ("0", "false", "off")
TINY_SIZE = 4  # half-points: text up to this size is unreadable
HIGHLIGHTS = {"none": None, "white": WHITE, "black": "000000"}  # highlight colours; others are UNKNOWN
MAX_STYLE_DEPTH = 20  # base styles followed


@dataclass(frozen=True, slots=True)
class TextStyle:
    """None: not set here."""

    hidden: bool | None = None
    size: int | None = None  # half-points
    colour: str | None = None  # UNKNOWN: automatic
    background: str | None = None  # of the run
    paragraph_background: str | None = None  # of the paragraph


class HiddenText:
    """Hidden text of one document. The background of text boxes and of table styles is UNKNOWN: text on it counts as visible."""

    def __init__(self, document: Document) -> None:
        self.found = False  # whether hidden text was found so far
        styles: Element = document.styles.element
        self._styles = {style.get(qn("w:styleId"), ""): style for style in styles.iterchildren(qn("w:style"))}
        self._default_style = next((name for name, style in self._styles.items() if _is_default_style(style)), "")
        self._defaults = _own_style(styles.find(f"{qn('w:docDefaults')}/{qn('w:rPrDefault')}"))
        self._style_cache: dict[str, TextStyle] = {}
        self._page_colour = _page_colour(document)

    def visible_part(self, run: Element) -> Literal["all", "boxes", "nothing"]:
        """What of a run is visible. "boxes": text boxes in it, but not its own text."""
        style = self._of(run, next(run.iterancestors(PARAGRAPH), None))
        tiny = style.size is not None and style.size <= TINY_SIZE
        if not (style.hidden or tiny or self._is_background_coloured(run, style)):
            return "all"
        self.found = self.found or any((text.text or "").strip() for text in run.iter(TEXT))
        return "nothing" if style.hidden else "boxes"

    def _is_background_coloured(self, run: Element, style: TextStyle) -> bool:
        return style.colour not in (None, UNKNOWN) and look_alike(style.colour, style.background or self._block_background(run, style))

    def _of(self, run: Element, paragraph: Element | None) -> TextStyle:
        own, style = _own_style(run), _value_of(run, "w:rPr/w:rStyle")
        block = (_value_of(paragraph, "w:pPr/w:pStyle") if paragraph is not None else "") or self._default_style
        above = TextStyle(paragraph_background=None if paragraph is None else _shading(paragraph, "w:pPr/w:shd"))
        return _first_set(own, above, self._style(style), self._style(block), self._defaults)

    def _style(self, name: str) -> TextStyle:
        if name not in self._style_cache:
            self._style_cache[name] = _first_set(*map(_own_style, self._chain(name)))
        return self._style_cache[name]

    def _chain(self, name: str) -> Iterator[Element]:
        for _ in range(MAX_STYLE_DEPTH):
            if (style := self._styles.get(name)) is None:
                return
            yield style
            name = _value_of(style, "w:basedOn")

    def _block_background(self, run: Element, style: TextStyle) -> str:
        """The colour behind the paragraph."""
        if style.paragraph_background:
            return style.paragraph_background
        for above in run.iterancestors(CELL, TABLE, BOX):
            if above.tag == BOX:
                return UNKNOWN
            if colour := _shading(above, "w:tcPr/w:shd") or _shading(above, "w:tblPr/w:shd"):
                return colour
            if any(_shading(style, "") for style in self._chain(_value_of(above, "w:tblPr/w:tblStyle"))):
                return UNKNOWN
        return self._page_colour


def _is_default_style(style: Element) -> bool:
    return style.get(qn("w:type")) == "paragraph" and style.get(qn("w:default"), "0") not in OFF


def _path(path: str) -> str:
    return "/".join(map(qn, path.split("/")))


def _value_of(element: Element, path: str) -> str:
    found = element.find(_path(path))
    return "" if found is None else found.get(VALUE, "")


def _first_set(*styles_found: TextStyle) -> TextStyle:
    """For each property, the first value that is set."""
    said = {name: [getattr(style, name) for style in styles_found] for name in TextStyle.__dataclass_fields__}
    return TextStyle(**{name: next((value for value in values if value is not None), None) for name, values in said.items()})


def _own_style(element: Element | None) -> TextStyle:
    """Properties set on a run or a style itself."""
    if element is None or (properties := element.find(qn("w:rPr"))) is None:
        return TextStyle(paragraph_background=None if element is None else _shading(element, "w:pPr/w:shd"))
    vanish, size, colour, marker = (properties.find(qn(name)) for name in ("w:vanish", "w:sz", "w:color", "w:highlight"))
    half_points = "" if size is None else size.get(VALUE, "")
    marked = None if marker is None else HIGHLIGHTS.get(marker.get(VALUE, ""), UNKNOWN)
    return TextStyle(
        hidden=None if vanish is None else vanish.get(VALUE, "1").lower() not in OFF,
        size=int(half_points) if half_points.isdigit() else None,
        colour=None if colour is None else parse_colour(colour.get(VALUE, "")),
        background=marked or _shading(properties, "w:shd"),
        paragraph_background=_shading(element, "w:pPr/w:shd"),
    )


def _shading(element: Element, path: str) -> str | None:
    """Colour of the element's shading; `path` "": of any shading below it. None: no shading."""
    for found in element.iter(qn("w:shd")) if not path else element.findall(_path(path)):
        fill, pattern = found.get(FILL, "auto").lower(), found.get(VALUE, "clear")
        if pattern not in ("clear", "nil"):
            return UNKNOWN
        if fill != "auto":
            return parse_colour(fill)
    return None


def _page_colour(document: Document) -> str:
    """The background of the page is displayed only if the settings say so."""
    ground = document.element.find(qn("w:background"))
    shown = document.settings.element.find(qn("w:displayBackgroundShape"))
    return WHITE if ground is None or shown is None else parse_colour(ground.get(qn("w:color"), ""))
