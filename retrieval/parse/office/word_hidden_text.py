"""What of a Word document nobody sees: hidden, tiny, or in the colour of what lies behind it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from docx.document import Document
from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement as Element

from retrieval.parse.common.colours import SOME, WHITE, known, same

PARAGRAPH, CELL, TABLE, BOX, TEXT = map(qn, ("w:p", "w:tc", "w:tbl", "w:txbxContent", "w:t"))
VALUE, FILL = map(qn, ("w:val", "w:fill"))
OFF = ("0", "false", "off")
TINY = 4  # half-points: nobody reads what is no larger
MARKERS = {"none": None, "white": WHITE, "black": "000000"}  # of what a text marker leaves
DEEPEST = 20  # styles that build on one another


@dataclass(frozen=True, slots=True)
class Look:
    """None: not said here."""

    hidden: bool | None = None
    size: int | None = None  # half-points
    colour: str | None = None  # SOME: Word's own choice
    behind: str | None = None  # of the letters
    around: str | None = None  # of the paragraph


class Ink:
    """Answers for one document. Colours that a table's style brings, and text boxes, are taken to be readable."""

    def __init__(self, document: Document) -> None:
        self.hid = False  # some text, so far
        styles: Element = document.styles.element
        self._styles = {style.get(qn("w:styleId"), ""): style for style in styles.iterchildren(qn("w:style"))}
        self._usual = next((name for name, style in self._styles.items() if _is_usual(style)), "")
        self._defaults = _look(styles.find(f"{qn('w:docDefaults')}/{qn('w:rPrDefault')}"))
        self._looks: dict[str, Look] = {}
        self._page = _page(document)

    def seen(self, run: Element) -> Literal["all", "boxes", "nothing"]:
        """Of a run. "boxes": what text boxes in it hold, but not its own text."""
        look = self._of(run, next(run.iterancestors(PARAGRAPH), None))
        tiny = look.size is not None and look.size <= TINY
        if not (look.hidden or tiny or self._blends(run, look)):
            return "all"
        self.hid = self.hid or any((text.text or "").strip() for text in run.iter(TEXT))
        return "nothing" if look.hidden else "boxes"

    def _blends(self, run: Element, look: Look) -> bool:
        return look.colour not in (None, SOME) and same(look.colour, look.behind or self._around(run, look))

    def _of(self, run: Element, paragraph: Element | None) -> Look:
        own, style = _look(run), _named(run, "w:rPr/w:rStyle")
        block = (_named(paragraph, "w:pPr/w:pStyle") if paragraph is not None else "") or self._usual
        above = Look(around=None if paragraph is None else _shade(paragraph, "w:pPr/w:shd"))
        return _over(own, above, self._style(style), self._style(block), self._defaults)

    def _style(self, name: str) -> Look:
        if name not in self._looks:
            self._looks[name] = _over(*map(_look, self._chain(name)))
        return self._looks[name]

    def _chain(self, name: str) -> Iterator[Element]:
        for _ in range(DEEPEST):
            if (style := self._styles.get(name)) is None:
                return
            yield style
            name = _named(style, "w:basedOn")

    def _around(self, run: Element, look: Look) -> str:
        """What lies behind the paragraph."""
        if look.around:
            return look.around
        for above in run.iterancestors(CELL, TABLE, BOX):
            if above.tag == BOX:
                return SOME
            if colour := _shade(above, "w:tcPr/w:shd") or _shade(above, "w:tblPr/w:shd"):
                return colour
            if any(_shade(style, "") for style in self._chain(_named(above, "w:tblPr/w:tblStyle"))):
                return SOME
        return self._page


def _is_usual(style: Element) -> bool:
    return style.get(qn("w:type")) == "paragraph" and style.get(qn("w:default"), "0") not in OFF


def _path(path: str) -> str:
    return "/".join(map(qn, path.split("/")))


def _named(element: Element, path: str) -> str:
    found = element.find(_path(path))
    return "" if found is None else found.get(VALUE, "")


def _over(*looks: Look) -> Look:
    """The first that says something counts, for each thing."""
    said = {name: [getattr(look, name) for look in looks] for name in Look.__dataclass_fields__}
    return Look(**{name: next((value for value in values if value is not None), None) for name, values in said.items()})


def _look(element: Element | None) -> Look:
    """Of a run or a style."""
    if element is None or (properties := element.find(qn("w:rPr"))) is None:
        return Look(around=None if element is None else _shade(element, "w:pPr/w:shd"))
    vanish, size, colour, marker = (properties.find(qn(name)) for name in ("w:vanish", "w:sz", "w:color", "w:highlight"))
    half_points = "" if size is None else size.get(VALUE, "")
    marked = None if marker is None else MARKERS.get(marker.get(VALUE, ""), SOME)
    return Look(
        hidden=None if vanish is None else vanish.get(VALUE, "1").lower() not in OFF,
        size=int(half_points) if half_points.isdigit() else None,
        colour=None if colour is None else known(colour.get(VALUE, "")),
        behind=marked or _shade(properties, "w:shd"),
        around=_shade(element, "w:pPr/w:shd"),
    )


def _shade(element: Element, path: str) -> str | None:
    """The colour of a shading; `path` "": of any below the element. None: it has none."""
    for found in element.iter(qn("w:shd")) if not path else element.findall(_path(path)):
        fill, pattern = found.get(FILL, "auto").lower(), found.get(VALUE, "clear")
        if pattern not in ("clear", "nil"):
            return SOME
        if fill != "auto":
            return known(fill)
    return None


def _page(document: Document) -> str:
    """A page has a colour of its own only where the settings show it."""
    ground = document.element.find(qn("w:background"))
    shown = document.settings.element.find(qn("w:displayBackgroundShape"))
    return WHITE if ground is None or shown is None else known(ground.get(qn("w:color"), ""))
