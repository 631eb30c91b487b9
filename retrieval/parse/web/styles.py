"""Styles of HTML elements, as far as they can be determined without external style sheets."""

import re

from retrieval.parse.common import colours

UNKNOWN = "?"  # a colour that cannot be determined from the page alone
TRANSPARENT = "none"
WHITE = "#ffffff"

_DECLARATION = re.compile(r"([\w-]+)\s*:\s*([^;]+)")
_RGB = re.compile(r"rgba?\(\s*(\d+)[\s,]+(\d+)[\s,]+(\d+)\s*(?:[,/]\s*([\d.]+%?)\s*)?\)")
_COLOURS = {"white": WHITE, "black": "#000000", "transparent": TRANSPARENT}
_INHERITED = (TRANSPARENT, "", "inherit", "initial", "unset", "revert")

Style = dict[str, str]


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
