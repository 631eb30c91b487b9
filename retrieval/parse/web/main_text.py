"""Finds the element that holds the main text of a page."""

from lxml import html

from retrieval.parse.web.hidden_text import HiddenText

Element = html.HtmlElement

FURNITURE = frozenset(("footer", "aside"))  # skipped outside the main text; inside it they are content
_BESIDE = FURNITURE | {"a", "nav", "header"}  # whose text does not count when elements are compared
MIN_SHARE = 0.75  # of the page's running text that an element holds to count as its main text


def main_text(body: Element, hidden: HiddenText, skip: frozenset[str]) -> Element | None:
    """The one `main` or `article` of a page, unless much of the text stands outside of it."""
    for tag in ("main", "article"):
        found = [element for element in body.iter(tag) if not hidden(element)]
        if len(found) == 1:
            share = _running_text(found[0], _BESIDE | skip) / max(_running_text(body, _BESIDE | skip), 1)
            return found[0] if share >= MIN_SHARE else None
    return None


def _running_text(element: Element, skip: frozenset[str]) -> int:
    """Number of characters, white space aside."""
    size, rest = 0, [element]
    while rest:
        each = rest.pop()
        size += _size(each.text)
        for child in each:
            size += _size(child.tail)
            if isinstance(child.tag, str) and child.tag not in skip:
                rest.append(child)
    return size


def _size(text: str | None) -> int:
    return sum(map(len, (text or "").split()))
