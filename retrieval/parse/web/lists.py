"""Lists of HTML, with the numbers that a browser generates."""

from collections.abc import Iterator

from lxml import html

from retrieval.parse.common import tables
from retrieval.parse.web.inline import InlineText

Element = html.HtmlElement
_ROMAN = (
    (1000, "m"),
    (900, "cm"),
    (500, "d"),
    (400, "cd"),
    (100, "c"),
    (90, "xc"),
    (50, "l"),
    (40, "xl"),
    (10, "x"),
    (9, "ix"),
    (5, "v"),
    (4, "iv"),
)
_LISTS = ("ul", "ol", "dl")


def lines(element: Element, inline: InlineText, depth: int = 0) -> Iterator[str]:
    """One line per item; nested items are indented."""
    for mark, item in marked_items(element):
        if inline.is_hidden(item):
            continue
        if item.tag not in ("li", "dt", "dd"):
            yield from lines(item, inline, depth + (item.tag != "div"))
            continue
        inner = tuple(child for child in item.iterchildren(*_LISTS) if not inline.is_hidden(child))
        text = tables.collapse_spaces(inline.of(item, inner))
        if text:
            yield f"{'  ' * depth}{mark}{text}"
        for below in inner:
            yield from lines(below, inline, depth + 1)


def marked_items(element: Element) -> Iterator[tuple[str, Element]]:
    """The children of a list, and what stands before each: "- ", "3. ", nothing."""
    step = -1 if element.get("reversed") is not None else 1
    number = _number(element.get("start"), sum(1 for _ in element.iterchildren("li")) if step < 0 else 1)
    for item in element.iterchildren("li", "dt", "dd", "div", *_LISTS):
        mark = {"dt": "", "dd": "  ", "li": "- "}.get(str(item.tag), "")
        if item.tag == "li" and element.tag == "ol":
            number = _number(item.get("value"), number)
            mark, number = f"{_numeral(number, element.get('type', '1'))}. ", number + step
        yield mark, item


def _number(value: str | None, default: int) -> int:
    digits = (value or "").strip()
    return int(digits) if digits.removeprefix("-").isdecimal() and len(digits) < 9 else default


def _numeral(number: int, kind: str) -> str:
    """`kind`: as the attribute `type` of HTML: 1, a, A, i, I."""
    if kind in ("a", "A") and number > 0:
        return _letters(number).upper() if kind == "A" else _letters(number)
    if kind in ("i", "I") and 0 < number < 4000:
        return _roman(number).upper() if kind == "I" else _roman(number)
    return str(number)


def _letters(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("a") + digit) + text
    return text


def _roman(number: int) -> str:
    text = ""
    for value, sign in (*_ROMAN, (1, "i")):
        text += sign * (number // value)
        number %= value
    return text
