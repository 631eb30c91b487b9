"""Text within a block of HTML: what its elements add to it or take from it."""

import re
from collections.abc import Callable, Iterator

from lxml import html
from lxml.etree import iterwalk

from retrieval.parse.common import links, typography
from retrieval.parse.web import form, mathml
from retrieval.parse.web.hidden_text import HiddenText
from retrieval.parse.web.styles import Style

Element = html.HtmlElement

_INLINE = (
    "a abbr acronym b bdi bdo big button cite code data del dfn em font i ins kbd label mark math output q rb ruby s samp small span "
    "strike strong sub sup time tt u var wbr"
)
INLINE = frozenset(_INLINE.split())
_STRUCK = frozenset(("del", "s", "strike"))
_NAVIGATION = frozenset(("nav", "header", "footer", "aside", "menu"))
_NAVIGATION_ROLES = frozenset(("navigation", "menu", "menubar", "banner", "contentinfo", "search"))
_NAMED = frozenset(("div", "section", "ul", "ol", "p", "span", "table", "td"))  # whose name may say that they are navigation
_NAVIGATION_NAME = re.compile(
    r"(?:^|[\s_-])(?:nav|navbar|navigation|menu|breadcrumbs?|sidebar|share|social|pager|pagination|footer)(?:$|[\s_-])", re.I
)

_LENGTH = r"(?=[\d.]*[1-9])[\d.]+(?:em|ex|rem|pt|px|%)"
_RAISED, _LOWERED = re.compile(rf"super|\+?{_LENGTH}"), re.compile(rf"sub|-{_LENGTH}")  # heights above and below the line


class InlineText:
    """Text of elements of one page. Elements that are hidden or whose tag is in `skip` have none."""

    def __init__(self, root: Element, hidden: HiddenText, skip: frozenset[str]) -> None:
        self._hidden, self._skip = hidden, skip
        self._links = _links_of_the_text(root)

    def is_hidden(self, element: Element) -> bool:
        if element.tag in self._skip and not _is_shown_all_the_same(element):
            return True
        return self._hidden(element)

    def of(self, element: Element, without: tuple[Element, ...] = (), *, links: bool = True) -> str:
        """Without the text of the children in `without`, and without targets of links unless `links`."""
        return "".join(self._strings(element, without, links))

    def marked(self, element: Element, *, links: bool = True) -> str | None:
        """The text of an element that gives it a meaning of its own, such as a superscript. None: it has just the text inside it."""
        tag = str(element.tag)
        if tag == "img":
            return f" {element.get('alt', '')} "
        if tag == "math":
            return mathml.text(element)
        if tag in ("input", "textarea", "select"):
            return form.shown_value(element)
        if tag == "svg":
            return " ".join(("", *(" ".join(text.itertext()) for text in element.iter("text")), ""))
        if tag == "a":
            return self._link(element) if links and element in self._links and not _holds_blocks(element) else None
        style = self._hidden.style(element) if tag in INLINE else {}
        if place := _place(tag, style):
            return place(re.sub(r"\s+", " ", self.of(element, links=links)).lstrip())
        if tag == "q":
            return f"“{self.of(element, links=links)}”"
        if tag in _STRUCK or "line-through" in (style.get("text-decoration", "") + style.get("text-decoration-line", "")):
            return typography.struck(self.of(element, links=links))
        return None

    def keeps_spaces(self, element: Element) -> bool:
        """Whether its spaces and line ends are shown as they are written."""
        return element.tag == "pre" or self._hidden.style(element).get("white-space", "").startswith("pre")

    def verbatim(self, element: Element) -> str:
        """Of preformatted text: each block within it, and each line break, begins a line."""
        text = element.text or ""
        for child in element:
            if isinstance(child.tag, str) and not self.is_hidden(child):
                marked = self.marked(child, links=False)
                inner = "\n" if child.tag == "br" else self.verbatim(child) if marked is None else marked
                text = text + inner if child.tag in INLINE or child.tag == "br" else _on_own_line(text, inner)
            text += child.tail or ""
        return text

    def _link(self, element: Element) -> str:
        text = self.of(element, links=False)
        end = text[len(text.rstrip()) :]
        target = re.sub(r"^//", "https://", element.get("href", "").strip())
        return links.with_target(text, target) + end

    def _strings(self, element: Element, without: tuple[Element, ...], links: bool) -> Iterator[str]:
        yield element.text or ""
        for child in element:
            if isinstance(child.tag, str) and child not in without and not self.is_hidden(child):
                yield self._child(child, links)
            yield child.tail or ""

    def _child(self, child: Element, links: bool) -> str:
        if child.tag == "br":
            return "\n"
        if (text := self.marked(child, links=links)) is not None:
            return text
        text = self.of(child, links=links)
        return text if child.tag in INLINE else f" {text} "


def _place(tag: str, style: Style) -> Callable[[str], str] | None:
    """How text above or below the line is written. None: it stands on the line."""
    if tag in ("sup", "sub"):
        return typography.superscript if tag == "sup" else typography.subscript
    if not style:
        return None
    align, moved = style.get("vertical-align", ""), style.get("position") == "relative"
    raised = _RAISED.fullmatch(align) or (
        moved and (_LOWERED.fullmatch(style.get("top", "")) or _RAISED.fullmatch(style.get("bottom", "")))
    )
    lowered = _LOWERED.fullmatch(align) or (
        moved and (_RAISED.fullmatch(style.get("top", "")) or _LOWERED.fullmatch(style.get("bottom", "")))
    )
    return typography.superscript if raised else typography.subscript if lowered else None


def _on_own_line(text: str, inner: str) -> str:
    return text + "\n" * (text != "" and not text.endswith("\n")) + inner + "\n" * (not inner.endswith("\n"))


def _is_shown_all_the_same(element: Element) -> bool:
    """Elements without text of their own, in the uses that show it: a button as the heading that opens a section, a shadow tree."""
    if element.tag == "button":
        return element.get("aria-expanded") is not None or element.get("aria-controls") is not None
    return element.tag == "template" and (element.get("shadowrootmode") or element.get("shadowroot")) is not None


def _holds_blocks(element: Element) -> bool:
    return any(
        child.tag not in INLINE and child.tag not in ("img", "br", "svg")
        for child in element.iterdescendants()
        if isinstance(child.tag, str)
    )


def _links_of_the_text(root: Element) -> frozenset[Element]:
    """Links outside of navigation."""
    found, depth = set[Element](), 0
    for event, element in iterwalk(root, events=("start", "end")):
        if _is_navigation(element):
            depth += 1 if event == "start" else -1
        elif event == "start" and element.tag == "a" and not depth:
            found.add(element)
    return frozenset(found)


def _is_navigation(element: Element) -> bool:
    if element.tag in _NAVIGATION or element.get("role", "") in _NAVIGATION_ROLES:
        return True
    if element.tag not in _NAMED:
        return False
    return bool(_NAVIGATION_NAME.search(f"{element.get('class', '')} {element.get('id', '')}"))
