"""What of an HTML page nobody sees: text for machines only is where instructions to models are hidden."""

import re

from lxml import html

_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_COMMENT = re.compile(r"/\*.*?\*/", re.S)
_SIMPLE = re.compile(r"[\w-]*(?:[.#][\w-]+)?")
_DECLARATION = re.compile(r"([\w-]+)\s*:\s*([^;]+)")
_ZERO = re.compile(r"[-+]?0*(?:\.0*)?(?:[a-z]+|%)?")
_FAR = re.compile(r"-\d{3,}(?:\.\d+)?(?:px|em|rem|pt|vw|vh|%)?")
_RGB = re.compile(r"rgba?\(\s*(\d+)[\s,]+(\d+)[\s,]+(\d+)\s*(?:[,/]\s*([\d.]+%?)\s*)?\)")
_COLOURS = {"white": "#ffffff", "black": "#000000", "transparent": "none"}
_MOST_RULES = 20_000  # of style sheets, characters: more is no page's own style

Style = dict[str, str]


class Hidden:
    """Answers for one page. A page that hides by a style sheet of another file is not seen through."""

    def __init__(self, root: html.HtmlElement) -> None:
        self._rules: dict[str, Style] = {}
        for sheet in root.iter("style"):
            self._learn(_COMMENT.sub("", sheet.text or "")[:_MOST_RULES])

    def __call__(self, element: html.HtmlElement) -> bool:
        """Of the element itself; whoever walks the tree does not enter what is hidden."""
        if element.get("hidden") is not None or element.get("aria-hidden", "").lower() == "true":
            return True
        style = self._style(element)
        return bool(style) and (_invisible(style) or self._same_colour(element, style))

    def _learn(self, sheet: str) -> None:
        """Rules for one tag, class or id. Rules within @media are read as rules for all: `{` stands before them."""
        for selectors, body in _RULE.findall(re.sub(r"@[^{;]*[{;]", "", sheet)):
            style = _declarations(body)
            for selector in filter(None, map(str.strip, selectors.split(","))):
                if _SIMPLE.fullmatch(selector):
                    self._rules.setdefault(selector.lower(), {}).update(style)

    def _style(self, element: html.HtmlElement) -> Style:
        own = _declarations(element.get("style", ""))
        if not self._rules:
            return own
        tag, names = str(element.tag), [f".{name}" for name in element.get("class", "").lower().split()]
        names += [f"#{element.get('id', '').lower()}"]
        keys = [tag, *names, *(tag + name for name in names)]
        return {name: value for key in keys for name, value in self._rules.get(key, {}).items()} | own

    def _same_colour(self, element: html.HtmlElement, style: Style) -> bool:
        if "color" not in style:
            return False
        behind = next((found for one in (element, *element.iterancestors()) if (found := _background(self._style(one)))), "#ffffff")
        return _colour(style["color"]) in (behind, "none")


def _declarations(text: str) -> Style:
    return {name.lower(): value.lower().replace("!important", "").strip() for name, value in _DECLARATION.findall(text)}


def _invisible(style: Style) -> bool:
    size, clip = style.get("font-size", ""), style.get("clip", "")
    far = any(_FAR.fullmatch(style.get(side, "")) for side in ("left", "top", "right", "bottom", "text-indent", "margin-left"))
    return (
        style.get("display") == "none"
        or style.get("visibility") in ("hidden", "collapse")
        or bool(size and _ZERO.fullmatch(size))
        or bool(_ZERO.fullmatch(style.get("opacity") or "1"))
        or ("position" in style and bool(re.match(r"rect\(\s*[01](?:px)?[\s,]+[01](?:px)?", clip)))
        or (far and ("position" in style or "text-indent" in style))
    )


def _background(style: Style) -> str:
    value = style.get("background-color") or style.get("background", "")
    colour = _colour(value.split(" ")[0] if "(" not in value else value)
    return "" if colour == "none" else colour


def _colour(value: str) -> str:
    """#rrggbb, "none" for a transparent one, as it stands if it is neither of the known."""
    if rgb := _RGB.match(value):
        return "none" if rgb[4] in ("0", "0.0", "0%") else "#" + "".join(f"{min(int(part), 255):02x}" for part in rgb.groups()[:3])
    if re.fullmatch(r"#[0-9a-f]{3}", value):
        return "#" + "".join(digit * 2 for digit in value[1:])
    return _COLOURS.get(value, value)
