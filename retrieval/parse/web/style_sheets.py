"""The style sheets of a page, evaluated as far as it goes without a browser: rules for one tag, class or id."""

import re
from collections.abc import Callable, Iterator, Sequence

from lxml import html

from retrieval.parse.web.styles import Style, declarations

_COMMENT = re.compile(r"/\*.*?\*/", re.S)
_OPENING = re.compile(r"([^{};]*)([{;])|\}")
_ALWAYS = re.compile(r"@media\s+(?:only\s+)?(?:screen|all)\s*$|@layer\b|@scope\b", re.I)
_NO_RULES = re.compile(r"@(?:-\w+-)?(?:keyframes|font-face|page|property|counter-style|font-feature-values)\b", re.I)
_SIMPLE = re.compile(r"[\w-]*(?:[.#][\w-]+)?")
_NAMES = re.compile(r"^[a-z][\w-]*|[.#][\w-]+")
_MAX_SHEET = 20_000  # characters of a style sheet that are parsed; a longer one is hardly this page's own


class StyleSheets:
    """The style sheets of one page. `incomplete`: some rules are in external files, or beyond the parsed length."""

    def __init__(self, root: html.HtmlElement) -> None:
        self._rules: dict[str, Style] = {}
        self._uncertain = set[tuple[str, str]]()  # (selector, "color" or "background"): properties that a rule not evaluated here may set
        self._alternatives: dict[str, list[Style]] = {}  # by selector: what rules not evaluated here may set
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

    def may_become(self, element: html.HtmlElement, style: Style, wanted: Callable[[Style], bool]) -> bool:
        """Whether `style` would be as `wanted` if a rule that is not evaluated here applied, as for a class that scripts add."""
        alternatives = (each for key in _selectors(element) for each in self._alternatives.get(key, ()))
        return bool(self._alternatives) and any(wanted(style | each) for each in alternatives)

    def is_uncertain(self, element: html.HtmlElement, property_group: str) -> bool:
        """Whether rules that conflict or are not evaluated here may set the element's "color" or "background"."""
        return bool(self._uncertain) and any((key, property_group) in self._uncertain for key in ("*", *_selectors(element)))

    def _selectors(self, element: html.HtmlElement) -> Sequence[str]:
        return [key for key in _selectors(element) if key in self._rules]

    def _parse(self, sheet: str) -> None:
        for selectors, body, conditional in _rules(sheet):
            style = declarations(body)
            for selector in filter(None, map(str.strip, selectors.lower().split(","))):
                if _SIMPLE.fullmatch(selector) and not conditional:
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
        for key in names:
            self._alternatives.setdefault(key, []).append(style)


def _rules(sheet: str) -> Iterator[tuple[str, str, bool]]:
    """Selectors and declarations of each rule, and whether it stands under a condition, such as the width of the window."""
    conditions, at = list[str](), 0
    while found := _OPENING.search(sheet, at):
        at = found.end()
        if found[0] == "}":
            del conditions[-1:]
        elif found[2] == "{":
            selectors = found[1].strip()
            if selectors.startswith("@") and not _NO_RULES.match(selectors):
                conditions.append(selectors)
                continue
            end = _end_of_block(sheet, at)
            if not selectors.startswith("@"):
                yield selectors, sheet[at : end - 1], not all(map(_ALWAYS.match, conditions))
            at = end


def _end_of_block(sheet: str, at: int) -> int:
    """The position after the brace that closes the block whose content begins at `at`."""
    depth = 1
    for brace in re.compile("[{}]").finditer(sheet, at):
        depth += 1 if brace[0] == "{" else -1
        if not depth:
            return brace.end()
    return len(sheet) + 1


def _property_group(name: str) -> str:
    return name.partition("-")[0]


def _selectors(element: html.HtmlElement) -> Sequence[str]:
    """Simple selectors that match the element, the most specific last."""
    names = [f".{name}" for name in element.get("class", "").lower().split()] + [f"#{element.get('id', '').lower()}"]
    return [str(element.tag), *names, *(f"{element.tag}{name}" for name in names)]
