"""What of an HTML page nobody sees: text for machines only is where instructions to models are hidden."""

import re
from dataclasses import dataclass

from lxml import html

from retrieval.parse.web import styles
from retrieval.parse.web.styles import CLEAR, SOME, WHITE, Sheets, Style

_ZERO = re.compile(r"[-+]?0*(?:\.0*)?(?:[a-z]+|%)?")
_FAR = re.compile(r"-\d{3,}(?:\.\d+)?(?:px|em|rem|pt|vw|vh|%)?")
_PICTURES = ("img", "picture", "svg", "canvas", "video")


@dataclass(frozen=True, slots=True)
class Look:
    letters: str
    behind: str


class Hidden:
    """Answers for one page. A page that hides by a style sheet of another file is not seen through. Elements with a tag of
    `skip` are never entered."""

    def __init__(self, root: html.HtmlElement, skip: frozenset[str]) -> None:
        self.hid = False  # some text, so far
        self._skip, self._sheets = skip, Sheets(root)
        self._pictures = next(root.iter(*_PICTURES), None) is not None
        if self._sheets.colour or root.xpath("boolean(.//*[contains(@style, 'olor') or contains(@style, 'OLOR')] or .//font[@color])"):
            self._blank(root, Look("#000000", SOME if self._sheets.elsewhere else WHITE))

    def __call__(self, element: html.HtmlElement) -> bool:
        """Of the element itself; whoever walks the tree does not enter what is hidden."""
        unseen = element.get("hidden") is not None or element.get("aria-hidden", "").lower() == "true" or _invisible(self._style(element))
        self.hid = self.hid or (unseen and self._speaks(element))
        return unseen

    def _style(self, element: html.HtmlElement) -> Style:
        return self._sheets.of(element) | styles.declarations(element.get("style", ""))

    def _speaks(self, element: html.HtmlElement) -> bool:
        texts = (one.text for one in element.iter() if one.tag not in self._skip)
        tails = (one.tail for one in element.iterdescendants())
        return any(map(_says, texts)) or any(map(_says, tails))

    def _blank(self, element: html.HtmlElement, around: Look) -> None:
        """Takes away the text whose letters have the colour of what lies behind them, not that of elements with other colours."""
        look = self._look(element, around)
        unseen = look.letters == CLEAR or styles.alike(look.letters, look.behind)
        if unseen:
            self.hid, element.text = self.hid or _says(element.text), None
        for child in element:
            if isinstance(child.tag, str) and child.tag not in self._skip and not self(child):
                self._blank(child, look)
            if unseen:
                self.hid, child.tail = self.hid or _says(child.tail), " "

    def _look(self, element: html.HtmlElement, around: Look) -> Look:
        own = styles.declarations(element.get("style", ""))
        return Look(self._letters(element, own) or around.letters, self._behind(element, own) or around.behind)

    def _letters(self, element: html.HtmlElement, own: Style) -> str | None:
        if found := styles.letters(own):
            return found
        if self._sheets.vague(element, "color"):
            return SOME
        usual = styles.colour(element.get("color", "").lower()) if element.tag == "font" else ""
        return styles.letters(self._sheets.of(element)) or usual or (SOME if element.tag in ("a", "mark") else None)

    def _behind(self, element: html.HtmlElement, own: Style) -> str | None:
        """None: nothing that was not behind what is around it."""
        if found := styles.background(own):
            return found
        if element.get("background") or (self._pictures and self._style(element).get("position") in ("absolute", "fixed")):
            return SOME
        if given := element.get("bgcolor", "").strip().lower():
            return styles.colour(given)
        if self._sheets.elsewhere or self._sheets.vague(element, "background"):
            return SOME
        return styles.background(self._sheets.of(element))


def _says(text: str | None) -> bool:
    return any(map(str.isalnum, text or ""))


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
