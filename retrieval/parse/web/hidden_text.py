"""Detects hidden text of an HTML page: text that is not displayed may carry instructions to models."""

import re
from dataclasses import dataclass

from lxml import html

from retrieval.parse.web import styles
from retrieval.parse.web.style_sheets import StyleSheets
from retrieval.parse.web.styles import TRANSPARENT, UNKNOWN, WHITE, Style

_ZERO_SIZE = re.compile(r"[-+]?(?:0+(?:\.0*)?|\.0+)(?:[a-z]+|%)?")
_OFF_PAGE = re.compile(r"-\d{3,}(?:\.\d+)?(?:px|em|rem|pt|vw|vh|%)?")
_SIGN_TAGS = frozenset(("a", "i", "b", "span", "em", "small", "sup", "img"))
_NAME = re.compile(r"[\w-]+")
_SHOWING = frozenset(
    ("display", "visibility", "opacity", "classList", "className", "toggle", "toggleClass", "slideToggle", "show", "fadeIn")
)
MIN_NAME = 3  # letters of an id or class that scripts speak of
MAX_SCRIPT = 50_000  # characters of a script
_PICTURES = ("img", "picture", "svg", "canvas", "video")


@dataclass(frozen=True, slots=True)
class Colours:
    text_colour: str
    background: str


class HiddenText:
    """Hidden text of one page. External style sheets are not evaluated. Elements whose tag is in `skip` are ignored."""

    def __init__(self, root: html.HtmlElement, skip: frozenset[str]) -> None:
        self.found = False  # whether hidden text was found so far
        self._skip, self._sheets = skip, StyleSheets(root)
        self._opened = _opened_ids(root)
        self._named = _names_in_scripts(root)
        self._scripted = next(root.iter("script"), None) is not None
        self._pictures = next(root.iter(*_PICTURES), None) is not None
        if self._sheets.colour or root.xpath("boolean(.//*[contains(@style, 'olor') or contains(@style, 'OLOR')] or .//font[@color])"):
            self._remove_invisible(root, Colours("#000000", UNKNOWN if self._sheets.incomplete else WHITE))

    def __call__(self, element: html.HtmlElement) -> bool:
        """Whether the element itself is hidden. Hidden ancestors are not considered: callers skip what is below a hidden element."""
        invisible = self._is_invisible(element) and element.get("id") not in self._opened
        self.found = self.found or (invisible and self._has_text(element))
        return invisible

    def _is_invisible(self, element: html.HtmlElement) -> bool:
        if element.get("hidden", "until-found").lower() != "until-found":
            return True
        if element.tag in _SIGN_TAGS and element.get("aria-hidden", "").lower() == "true":  # a sign beside text that says the same
            return True
        style = self.style(element)
        if not style or not _invisible(style) or (self._scripted and _fades_in(style)):
            return False
        if self._is_shown_by_scripts(element):
            return False
        own = styles.declarations(element.get("style", ""))
        return _invisible(own) or not self._sheets.may_become(element, style, lambda other: not _invisible(other))

    def _is_shown_by_scripts(self, element: html.HtmlElement) -> bool:
        """Whether the page's scripts speak of the element by its id or a class, as they do to open an accordion."""
        names = (element.get("id", ""), *element.get("class", "").split())
        return bool(self._named) and any(len(name) >= MIN_NAME and name in self._named for name in names)

    def style(self, element: html.HtmlElement) -> Style:
        return self._sheets.of(element) | styles.declarations(element.get("style", ""))

    def _has_text(self, element: html.HtmlElement) -> bool:
        texts = (one.text for one in element.iter() if one.tag not in self._skip)
        tails = (one.tail for one in element.iterdescendants())
        return any(map(_is_text, texts)) or any(map(_is_text, tails))

    def _remove_invisible(self, element: html.HtmlElement, around: Colours) -> None:
        """Removes text in the colour of its background, except in descendants with other colours."""
        colours = self._colours_of(element, around)
        invisible = colours.text_colour == TRANSPARENT or styles.look_alike(colours.text_colour, colours.background)
        if invisible:
            self.found, element.text = self.found or _is_text(element.text), None
        for child in element:
            if isinstance(child.tag, str) and child.tag not in self._skip and not self(child):
                self._remove_invisible(child, colours)
            if invisible:
                self.found, child.tail = self.found or _is_text(child.tail), " "

    def _colours_of(self, element: html.HtmlElement, around: Colours) -> Colours:
        own = styles.declarations(element.get("style", ""))
        return Colours(self._text_colour(element, own) or around.text_colour, self._background(element, own) or around.background)

    def _text_colour(self, element: html.HtmlElement, own: Style) -> str | None:
        if found := styles.text_colour(own):
            return found
        if self._sheets.is_uncertain(element, "color"):
            return UNKNOWN
        usual = styles.colour(element.get("color", "").lower()) if element.tag == "font" else ""
        return styles.text_colour(self._sheets.of(element)) or usual or (UNKNOWN if element.tag in ("a", "mark") else None)

    def _background(self, element: html.HtmlElement, own: Style) -> str | None:
        """None: the background of the parent shows through."""
        if found := styles.background(own):
            return found
        if element.get("background") or (self._pictures and self.style(element).get("position") in ("absolute", "fixed")):
            return UNKNOWN
        if given := element.get("bgcolor", "").strip().lower():
            return styles.colour(given)
        if self._sheets.incomplete or self._sheets.is_uncertain(element, "background"):
            return UNKNOWN
        return styles.background(self._sheets.of(element))


def _is_text(text: str | None) -> bool:
    return any(map(str.isalnum, text or ""))


def _opened_ids(root: html.HtmlElement) -> frozenset[str]:
    """Of elements that a reader opens by a button or a tab, as of an accordion."""
    return frozenset(name for control in root.xpath(".//*[@aria-controls]") for name in control.get("aria-controls", "").split())


def _names_in_scripts(root: html.HtmlElement) -> frozenset[str]:
    """Words of the page's own scripts and event handlers."""
    texts = [script.text or "" for script in root.iter("script")] + root.xpath(".//@onclick")
    found = frozenset(_NAME.findall(" ".join(text[:MAX_SCRIPT] for text in texts)))
    return found if not found.isdisjoint(_SHOWING) else frozenset()


def _fades_in(style: Style) -> bool:
    """Whether the element is transparent or not displayed only until an animation begins."""
    moving = any(name.startswith(("animation", "transition", "transform", "will-change")) for name in style)
    return moving and not _invisible(style | {"opacity": "1", "visibility": "visible"})


def _invisible(style: Style) -> bool:
    size, clip = style.get("font-size", ""), style.get("clip", "")
    far = any(_OFF_PAGE.fullmatch(style.get(side, "")) for side in ("left", "top", "right", "bottom", "text-indent", "margin-left"))
    return (
        style.get("display") == "none"
        or style.get("visibility") in ("hidden", "collapse")
        or bool(size and _ZERO_SIZE.fullmatch(size))
        or bool(_ZERO_SIZE.fullmatch(style.get("opacity") or "1"))
        or ("position" in style and bool(re.match(r"rect\(\s*[01](?:px)?[\s,]+[01](?:px)?", clip)))
        or (far and ("position" in style or "text-indent" in style))
    )
