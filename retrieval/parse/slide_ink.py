"""What of a slide nobody sees: shapes that are hidden or lie beside it, and letters in the colour of what lies behind them."""

from collections.abc import Iterator
from typing import Any

from pptx.opc.constants import RELATIONSHIP_TYPE
from pptx.oxml import parse_xml
from pptx.oxml.ns import qn

from retrieval.parse.colours import SOME, WHITE, known, same

Shape = Any  # python-pptx has no common type of what a slide holds
Element = Any
Box = tuple[int, int, int, int]  # left, top, right, bottom

SOLID, NONE, RGB, SCHEME, SYSTEM = map(qn, ("a:solidFill", "a:noFill", "a:srgbClr", "a:schemeClr", "a:sysClr"))
FILLS = (*map(qn, ("a:gradFill", "a:blipFill", "a:pattFill", "a:grpFill")), SOLID, NONE)
GROUP = qn("p:grpSp")
OFF = ("0", "false")
PLAIN = "1001"  # the first background of a theme: its colour alone


def hidden_slide(slide: Any) -> bool:
    return slide.element.get("show", "1") in OFF


def outside(shape: Shape, width: int, height: int) -> bool:
    """Hidden, or wholly beside a slide of this size."""
    if any(part.get("hidden", "0") not in OFF for part in shape._element.xpath("./*/p:cNvPr")):
        return True
    left, top, right, bottom = _box(shape)
    return right < 0 or bottom < 0 or left > width or top > height


class Ground:
    """What lies behind the text of one shape of a slide. A run counts as unseen only where that is one colour for certain."""

    def __init__(self, slide: Any, shape: Shape) -> None:
        self._slide, self._shape = slide, shape
        self._colour: str | None = None

    def hides(self, run: Any) -> bool:
        colour = _rgb(run._r.find(f"{qn('a:rPr')}/{SOLID}"))
        return colour != SOME and same(colour, self._behind())

    def _behind(self) -> str:
        self._colour = self._colour or self._own() or (SOME if self._covers() else _background(self._slide))
        return self._colour

    def _own(self) -> str | None:
        """None: the shape lets through what lies behind it."""
        fill = next((found for one in _models(self._shape) if (found := _fill(one)) is not None), None)
        if fill is not None:
            return None if fill.tag == NONE else _rgb(fill)
        return None if self._shape._element.find(qn("p:style")) is None else SOME

    def _covers(self) -> bool:
        """Whether something else may lie between it and the background. Shapes of a group have places of their own."""
        if self._shape._element.getparent().tag == GROUP:
            return True
        layout = self._slide.slide_layout
        drawn = [one for page in (layout, layout.slide_master) for one in page.shapes if not one.is_placeholder]
        around = [one for one in self._slide.shapes if one._element is not self._shape._element and _opaque(one)]
        return any(_overlap(_box(one), _box(self._shape)) for one in (*drawn, *around))


def _models(shape: Shape) -> Iterator[Shape]:
    """The shape; of a placeholder also that of the layout, and that of the master."""
    while shape is not None:
        yield shape
        shape = shape._base_placeholder if shape.is_placeholder and hasattr(shape, "_base_placeholder") else None


def _fill(shape: Shape) -> Element | None:
    return next((fill for fill in shape._element.xpath("./p:spPr/*") if fill.tag in FILLS), None)


def _opaque(shape: Shape) -> bool:
    fill = _fill(shape)
    if fill is not None and fill.tag == NONE:
        return False
    return fill is not None or not (shape.has_text_frame and shape._element.find(qn("p:style")) is None)


def _box(shape: Shape) -> Box:
    left, top = shape.left or 0, shape.top or 0
    return left, top, left + (shape.width or 0), top + (shape.height or 0)


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _rgb(fill: Element | None) -> str:
    """Of a solid fill with a colour of its own."""
    found = None if fill is None or fill.tag != SOLID else fill.find(RGB)
    return known(found.get("val", "")) if found is not None and not len(found) else SOME


def _background(slide: Any) -> str:
    layout = slide.slide_layout
    for page in (slide, layout, layout.slide_master):
        if (ground := page.element.find(f"{qn('p:cSld')}/{qn('p:bg')}")) is not None:
            return _colour(ground, layout.slide_master)
    return WHITE


def _colour(ground: Element, master: Any) -> str:
    for filled in _solids(ground):
        if (rgb := filled.find(RGB)) is not None and not len(rgb):
            return known(rgb.get("val", ""))
        if (scheme := filled.find(SCHEME)) is not None and not len(scheme):
            return _of_theme(scheme.get("val", ""), master)
    return SOME


def _solids(ground: Element) -> Iterator[Element]:
    yield from ground.iterfind(f"{qn('p:bgPr')}/{SOLID}")
    yield from (one for one in ground.iterfind(qn("p:bgRef")) if one.get("idx") == PLAIN)


def _of_theme(name: str, master: Any) -> str:
    mapped = master.element.find(qn("p:clrMap"))
    name = name if mapped is None else mapped.get(name, name)
    theme: Element = parse_xml(master.part.part_related_by(RELATIONSHIP_TYPE.THEME).blob)
    found = theme.find(f".//{qn('a:clrScheme')}/{qn(f'a:{name}')}")
    if found is None or not len(found):
        return SOME
    return known(found[0].get("lastClr" if found[0].tag == SYSTEM else "val", ""))
