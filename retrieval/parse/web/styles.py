"""What an HTML page says of the look of its elements, as far as that is certain without other files."""

import re
from collections.abc import Sequence

from lxml import html

from retrieval.parse.common import colours

SOME = "?"  # a colour that nobody can tell from the page alone
CLEAR = "none"
WHITE = "#ffffff"

_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_COMMENT = re.compile(r"/\*.*?\*/", re.S)
_SIMPLE = re.compile(r"[\w-]*(?:[.#][\w-]+)?")
_NAMES = re.compile(r"^[a-z][\w-]*|[.#][\w-]+")
_DECLARATION = re.compile(r"([\w-]+)\s*:\s*([^;]+)")
_RGB = re.compile(r"rgba?\(\s*(\d+)[\s,]+(\d+)[\s,]+(\d+)\s*(?:[,/]\s*([\d.]+%?)\s*)?\)")
_COLOURS = {"white": WHITE, "black": "#000000", "transparent": CLEAR}
_INHERITED = (CLEAR, "", "inherit", "initial", "unset", "revert")
_MOST_RULES = 20_000  # of a style sheet, characters: more is no page's own style

Style = dict[str, str]


class Sheets:
    """The style sheets of one page. `elsewhere`: some rules stand in another file, or are too many to be read."""

    def __init__(self, root: html.HtmlElement) -> None:
        self._rules: dict[str, Style] = {}
        self._vague = set[tuple[str, str]]()  # what a rule may say something of, and what: "color" or "background"
        sheets = [_COMMENT.sub("", sheet.text or "") for sheet in root.iter("style")]
        linked = any("stylesheet" in link.get("rel", "").lower() for link in root.iter("link"))
        self.elsewhere = linked or any("@import" in sheet or len(sheet) > _MOST_RULES for sheet in sheets)
        for sheet in sheets:
            self._learn(sheet[:_MOST_RULES])

    @property
    def colour(self) -> bool:
        return any("color" in style for style in self._rules.values())

    def of(self, element: html.HtmlElement) -> Style:
        """What the rules say of the element itself."""
        return {name: value for key in self._keys(element) for name, value in self._rules[key].items()} if self._rules else {}

    def vague(self, element: html.HtmlElement, what: str) -> bool:
        """Whether a rule that is not followed here may give the element another colour or background."""
        return bool(self._vague) and any((key, what) in self._vague for key in ("*", *_keys(element)))

    def _keys(self, element: html.HtmlElement) -> Sequence[str]:
        return [key for key in _keys(element) if key in self._rules]

    def _learn(self, sheet: str) -> None:
        """Rules for one tag, class or id. Rules within @media are read as rules for all: `{` stands before them."""
        for selectors, body in _RULE.findall(re.sub(r"@[^{;]*[{;]", "", sheet)):
            style = declarations(body)
            for selector in filter(None, map(str.strip, selectors.lower().split(","))):
                if _SIMPLE.fullmatch(selector):
                    self._add(selector, style)
                else:
                    self._doubt(selector, style)

    def _add(self, selector: str, style: Style) -> None:
        """Of two rules that say different things either may be the one for a screen."""
        known = self._rules.setdefault(selector, {})
        self._vague |= {(selector, _what(name)) for name in style.keys() & known.keys() if style[name] != known[name]}
        known.update(style)

    def _doubt(self, selector: str, style: Style) -> None:
        last = re.split(r"[\s>+~]+", selector)[-1]
        names = _NAMES.findall(re.sub(r"[:\[].*", "", last)) or ["*"]
        self._vague |= {(key, _what(name)) for key in names for name in style}


def declarations(text: str) -> Style:
    return {name.lower(): value.lower().replace("!important", "").strip() for name, value in _DECLARATION.findall(text)}


def background(style: Style) -> str | None:
    """None: what lies behind shows through."""
    if style.get("background-image", CLEAR) != CLEAR:
        return SOME
    value = style.get("background-color") or style.get("background", "")
    if (rgb := _RGB.match(value)) and rgb[4] not in (None, "0", "0.0", "0%", "1", "1.0", "100%"):
        return SOME
    found = colour(value.split(" ")[0] if "(" not in value else value)
    return None if found in _INHERITED else found


def letters(style: Style) -> str | None:
    """The colour of them. None: that of what is around."""
    value = style.get("color", "")
    if "text" in (style.get("background-clip"), style.get("-webkit-background-clip")):
        return SOME  # letters cut out of a picture
    return None if value in (*_INHERITED[1:], "currentcolor") else colour(value)


def colour(value: str) -> str:
    """#rrggbb, CLEAR for a transparent one, as it stands if it is neither of the known."""
    if rgb := _RGB.match(value):
        return CLEAR if rgb[4] in ("0", "0.0", "0%") else "#" + "".join(f"{min(int(part), 255):02x}" for part in rgb.groups()[:3])
    if re.fullmatch(r"#?[0-9a-f]{6}", value):
        return f"#{value[-6:]}"
    if re.fullmatch(r"#[0-9a-f]{3}", value):
        return "#" + "".join(digit * 2 for digit in value[1:])
    return _COLOURS.get(value, value)


def alike(one: str, other: str) -> bool:
    """To the eye, and for certain."""
    if SOME in (one, other):
        return False
    return one == other or colours.same(colours.known(one[1:]), colours.known(other[1:]))


def _what(name: str) -> str:
    return name.partition("-")[0]


def _keys(element: html.HtmlElement) -> Sequence[str]:
    """What a rule for the element may be called, the weightiest last."""
    names = [f".{name}" for name in element.get("class", "").lower().split()] + [f"#{element.get('id', '').lower()}"]
    return [str(element.tag), *names, *(f"{element.tag}{name}" for name in names)]
