"""Styles of HTML elements, as far as they can be determined without external style sheets."""

import re
from collections.abc import Sequence

from lxml import html

from retrieval.parse.common import colours

UNKNOWN = "?"  # a colour that cannot be determined from the page alone
TRANSPARENT = "none"
WHITE = "#ffffff"

_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_COMMENT = re.compile(r"/\*.*?\*/", re.S)
_SIMPLE = re.compile(r"[\w-]*(?:[.#][\w-]+)?")
_NAMES = re.compile(r"^[a-z][\w-]*|[.#][\w-]+")
_DECLARATION = re.compile(r"([\w-]+)\s*:\s*([^;]+)")
_RGB = re.compile(r"rgba?\(\s*(\d+)[\s,]+(\d+)[\s,]+(\d+)\s*(?:[,/]\s*([\d.]+%?)\s*)?\)")
_COLOURS = {"white": WHITE, "black": "#000000", "transparent": TRANSPARENT}
_INHERITED = (TRANSPARENT, "", "inherit", "initial", "unset", "revert")
_MAX_SHEET = 20_000  # characters of a style sheet that are parsed; a longer one is hardly this page's own

Style = dict[str, str]


class StyleSheets:
    """The style sheets of one page. `incomplete`: some rules are in external files, or beyond the parsed length."""

    def __init__(self, root: html.HtmlElement) -> None:
        self._rules: dict[str, Style] = {}
        self._uncertain = set[tuple[str, str]]()  # (selector, "color" or "background"): properties that a rule not evaluated here may set
        sheets = [_COMMENT.sub("", sheet.text or "") for sheet in root.iter("style")]
        linked = any("stylesheet" in link.get("rel", "").lower() for link in root.iter("link"))
        self.incomplete = linked or any("@import" in sheet or len(sheet) > _MAX_SHEET for sheet in sheets)
        for sheet in sheets:
            self._parse(sheet[:_MAX_SHEET])

    @property
    def colour(self) -> bool:
        return any("color" in style for style in self._rules.values())

    def of(self, element: html.HtmlElement) -> Style:
        """Declarations of the rules that match the element itself."""
        return {name: value for key in self._selectors(element) for name, value in self._rules[key].items()} if self._rules else {}

    def is_uncertain(self, element: html.HtmlElement, property_group: str) -> bool:
        """Whether rules that conflict or are not evaluated here may set the element's "color" or "background"."""
        return bool(self._uncertain) and any((key, property_group) in self._uncertain for key in ("*", *_selectors(element)))

    def _selectors(self, element: html.HtmlElement) -> Sequence[str]:
        return [key for key in _selectors(element) if key in self._rules]

    def _parse(self, sheet: str) -> None:
        """Evaluates rules for one tag, class or id. Removing `@media ... {` turns the rules inside into unconditional ones."""
        for selectors, body in _RULE.findall(re.sub(r"@[^{;]*[{;]", "", sheet)):
            style = declarations(body)
            for selector in filter(None, map(str.strip, selectors.lower().split(","))):
                if _SIMPLE.fullmatch(selector):
                    self._add(selector, style)
                else:
                    self._mark_uncertain(selector, style)

    def _add(self, selector: str, style: Style) -> None:
        """Rules that set different values make the property uncertain: either may be the one that applies."""
        known = self._rules.setdefault(selector, {})
        self._uncertain |= {(selector, _property_group(name)) for name in style.keys() & known.keys() if style[name] != known[name]}
        known.update(style)

    def _mark_uncertain(self, selector: str, style: Style) -> None:
        last = re.split(r"[\s>+~]+", selector)[-1]
        names = _NAMES.findall(re.sub(r"[:\[].*", "", last)) or ["*"]
        self._uncertain |= {(key, _property_group(name)) for key in names for name in style}


def declarations(text: str) -> Style:
    return {name.lower(): value.lower().replace("!important", "").strip() for name, value in _DECLARATION.findall(text)}


def background(style: Style) -> str | None:
    """None: transparent, what lies behind shows."""
    if style.get("background-image", TRANSPARENT) != TRANSPARENT:
        return UNKNOWN
    value = style.get("background-color") or style.get("background", "")
    if (rgb := _RGB.match(value)) and rgb[4] not in (None, "0", "0.0", "0%", "1", "1.0", "100%"):
        return UNKNOWN
    found = colour(value.split(" ")[0] if "(" not in value else value)
    return None if found in _INHERITED else found


def text_colour(style: Style) -> str | None:
    """None: inherited."""
    value = style.get("color", "")
    if "text" in (style.get("background-clip"), style.get("-webkit-background-clip")):
        return UNKNOWN  # the background shows through the letters
    return None if value in (*_INHERITED[1:], "currentcolor") else colour(value)


def colour(value: str) -> str:
    """#rrggbb, TRANSPARENT for a fully transparent colour, otherwise `value` unchanged."""
    if rgb := _RGB.match(value):
        return TRANSPARENT if rgb[4] in ("0", "0.0", "0%") else "#" + "".join(f"{min(int(part), 255):02x}" for part in rgb.groups()[:3])
    if re.fullmatch(r"#?[0-9a-f]{6}", value):
        return f"#{value[-6:]}"
    if re.fullmatch(r"#[0-9a-f]{3}", value):
        return "#" + "".join(digit * 2 for digit in value[1:])
    return _COLOURS.get(value, value)


def look_alike(one: str, other: str) -> bool:
    """Whether the colours are certainly indistinguishable to the eye."""
    if UNKNOWN in (one, other):
        return False
    return one == other or colours.look_alike(colours.parse_colour(one[1:]), colours.parse_colour(other[1:]))


def _property_group(name: str) -> str:
    return name.partition("-")[0]


def _selectors(element: html.HtmlElement) -> Sequence[str]:
    """Simple selectors that match the element, the most specific last."""
    names = [f".{name}" for name in element.get("class", "").lower().split()] + [f"#{element.get('id', '').lower()}"]
    return [str(element.tag), *names, *(f"{element.tag}{name}" for name in names)]
