"""Detects hidden text of a slide: in hidden or off-slide shapes, tiny, or in the colour of its background."""

from collections.abc import Iterator
from typing import Any

from pptx.opc.constants import RELATIONSHIP_TYPE
from pptx.oxml import parse_xml
from pptx.oxml.ns import qn

from retrieval.parse.common.colours import UNKNOWN, WHITE, look_alike, parse_colour

Shape = Any  # python-pptx has no common type for shapes
Element = Any
Box = tuple[int, int, int, int]  # left, top, right, bottom

SOLID, NONE, RGB, SCHEME, SYSTEM = map(qn, ("a:solidFill", "a:noFill", "a:srgbClr", "a:schemeClr", "a:sysClr"))
FILLS = (*map(qn, ("a:gradFill", "a:blipFill", "a:pattFill", "a:grpFill")), SOLID, NONE)
GROUP = qn("p:grpSp")
OFF = ("0", "false")
PLAIN_BACKGROUND = "1001"  # index of a theme's first background style: a plain colour
TINY_SIZE = 200  # hundredths of a point: text up to this size is unreadable
UNFILLED_TABLE_STYLES = (
    "{2D5ABB26-0587-4C30-8999-92F81FD0307C}",
    "{5940675A-B579-460E-94D1-54222C63F5DA}",
)  # table styles that fill no cell


def is_hidden_slide(slide: Any) -> bool:
    return slide.element.get("show", "1") in OFF


def is_off_slide(shape: Shape, width: int, height: int) -> bool:
    """Whether the shape is marked hidden, or entirely outside a slide of this size."""
    if any(part.get("hidden", "0") not in OFF for part in shape._element.xpath("./*/p:cNvPr")):
        return True
    left, top, right, bottom = box(shape)
    return right < 0 or bottom < 0 or left > width or top > height


class Palette:
    """The colours of one slide."""

    def __init__(self, slide: Any) -> None:
        self._slide, self._master = slide, slide.slide_layout.slide_master
        self._named: dict[str, str] = {}
        pages = (slide, slide.slide_layout)
        self._has_own_mapping = any(page.element.find(f".//{qn('a:overrideClrMapping')}") is not None for page in pages)

    def of(self, fill: Element | None) -> str:
        """The colour if `fill` holds a single one without modifiers, otherwise UNKNOWN."""
        if fill is None or len(fill) != 1 or len(fill[0]):
            return UNKNOWN
        if fill[0].tag == SCHEME:
            return self._of_theme(fill[0].get("val", ""))
        return parse_colour(fill[0].get("val", "")) if fill[0].tag == RGB else UNKNOWN

    def solid(self, fill: Element) -> str:
        return self.of(fill) if fill.tag == SOLID else UNKNOWN

    def background(self) -> str:
        layout = self._slide.slide_layout
        for page in (self._slide, layout, layout.slide_master):
            if (ground := page.element.find(f"{qn('p:cSld')}/{qn('p:bg')}")) is not None:
                return self.of(next(_solid_fills(ground), None))
        return WHITE

    def _of_theme(self, name: str) -> str:
        if self._has_own_mapping:
            return UNKNOWN
        if name not in self._named:
            self._named[name] = _of_theme(name, self._master)
        return self._named[name]


class TextBackground:
    """What lies behind the text of one shape or table cell. Text counts as hidden only where the background is certainly one colour."""

    def __init__(self, slide: Any, shape: Shape, palette: Palette, cell: Any = None) -> None:
        self._slide, self._shape, self._palette, self._cell = slide, shape, palette, cell
        self._colour: str | None = None

    def hides(self, part: Element) -> bool:
        """Whether a run, field or break of a paragraph is invisible."""
        said = _properties(part)
        size = next((one.get("sz", "") for one in said if one.get("sz")), "")
        if size.isdigit() and int(size) <= TINY_SIZE:
            return True
        fill = next((fill for one in said for fill in one if fill.tag in FILLS), None)
        if fill is None:
            return False
        if fill.tag == NONE:
            return all(one.find(qn("a:ln")) is None for one in said)  # letters without fill may have outlines
        colour = self._palette.solid(fill)
        return colour != UNKNOWN and look_alike(colour, self._background_colour())

    def _background_colour(self) -> str:
        self._colour = self._colour or self._of_cell() or self._own() or (UNKNOWN if self._has_overlap() else self._palette.background())
        return self._colour

    def _of_cell(self) -> str | None:
        if self._cell is None:
            return None
        fill = next((fill for fill in self._cell._tc.xpath("./a:tcPr/*") if fill.tag in FILLS), None)
        if fill is not None:
            return None if fill.tag == NONE else self._palette.solid(fill)
        style = self._shape._element.find(f".//{qn('a:tableStyleId')}")
        return None if style is None or style.text in UNFILLED_TABLE_STYLES else UNKNOWN

    def _own(self) -> str | None:
        """Colour of the shape's fill. None: transparent."""
        fill = next((found for one in _with_placeholders(self._shape) if (found := _fill(one)) is not None), None)
        if fill is not None:
            return None if fill.tag == NONE else self._palette.solid(fill)
        return None if self._shape._element.find(qn("p:style")) is None else UNKNOWN

    def _has_overlap(self) -> bool:
        """Whether another shape may lie between this one and the background. True in groups, which have their own coordinates."""
        if self._shape._element.getparent().tag == GROUP:
            return True
        layout = self._slide.slide_layout
        drawn = [one for page in (layout, layout.slide_master) for one in page.shapes if not one.is_placeholder]
        around = [one for one in self._slide.shapes if one._element is not self._shape._element and _opaque(one)]
        return any(_overlap(box(one), box(self._shape)) for one in (*drawn, *around))


def _with_placeholders(shape: Shape) -> Iterator[Shape]:
    """The shape, then for a placeholder those of layout and master that it inherits from."""
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


def box(shape: Shape) -> Box:
    """In English Metric Units."""
    left, top = shape.left or 0, shape.top or 0
    return left, top, left + (shape.width or 0), top + (shape.height or 0)


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _properties(part: Element) -> list[Element]:
    """Character properties of the part: its own, then those of its level in the shape's list style."""
    paragraph = part.getparent()
    level = next((one.get("lvl", "0") for one in paragraph.iterchildren(qn("a:pPr"))), "0")
    level = int(level) + 1 if level.isdigit() else 1
    style = paragraph.getparent().find(f"{qn('a:lstStyle')}/{qn(f'a:lvl{level}pPr')}/{qn('a:defRPr')}")
    return [one for one in (part.find(qn("a:rPr")), style) if one is not None]


def _solid_fills(ground: Element) -> Iterator[Element]:
    yield from ground.iterfind(f"{qn('p:bgPr')}/{SOLID}")
    yield from (one for one in ground.iterfind(qn("p:bgRef")) if one.get("idx") == PLAIN_BACKGROUND)


def _of_theme(name: str, master: Any) -> str:
    mapped = master.element.find(qn("p:clrMap"))
    name = name if mapped is None else mapped.get(name, name)
    theme: Element = parse_xml(master.part.part_related_by(RELATIONSHIP_TYPE.THEME).blob)
    found = theme.find(f".//{qn('a:clrScheme')}/{qn(f'a:{name}')}")
    if found is None or not len(found):
        return UNKNOWN
    return parse_colour(found[0].get("lastClr" if found[0].tag == SYSTEM else "val", ""))
