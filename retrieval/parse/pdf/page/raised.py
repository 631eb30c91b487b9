"""Small digits above or below the line: 10⁶ is not 106, and 500¹ not 5001. PDFium gives them as any other character."""

import re
from collections.abc import Callable, Iterator

from retrieval.parse.pdf.page.geometry import Box

SMALLER = 0.85  # of the height of the letters before them
RAISED = 0.15  # of that height: their feet stand so much higher
_TOKEN = re.compile(r"[^\W_][^\s]*\d[^\s]*")  # a letter or digit, then perhaps others and a digit
_DIGITS = re.compile(r"\d+")
_SIGNS = "-−+"  # before a number
_ABOVE = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_BELOW = str.maketrans("0123456789+-−", "₀₁₂₃₄₅₆₇₈₉₊₋₋")


def with_places(text: str, box_of: Callable[[int], Box]) -> str:
    """`text`: the characters of a page, of which `box_of` gives the boxes. It keeps its length."""
    changed = [change for token in _TOKEN.finditer(text) for change in _changes(token, box_of)]
    if not changed:
        return text
    characters = list(text)
    for at, char in changed:
        characters[at] = char
    return "".join(characters)


def _changes(token: re.Match[str], box_of: Callable[[int], Box]) -> Iterator[tuple[int, str]]:
    """Compared are the ends of each number alone: most tokens are of one size."""
    base = box_of(token.start())
    for digits in _DIGITS.finditer(token.string, *token.span()):
        last = digits.end() - 1
        if last == token.start() or not _is_smaller(box_of(last), base):
            continue
        first = digits.start() - (token.string[digits.start() - 1] in _SIGNS)
        for at in range(max(first, token.start() + 1), digits.end()):
            if table := _table(box_of(at), base):
                yield at, token.string[at].translate(table)


def _is_smaller(box: Box, base: Box) -> bool:
    return box[3] - box[1] <= SMALLER * (base[3] - base[1])


def _table(box: Box, base: Box) -> dict[int, int] | None:
    if not _is_smaller(box, base):
        return None
    if box[1] - base[1] >= RAISED * (base[3] - base[1]) and box[3] > (base[1] + base[3]) / 2:
        return _ABOVE
    return _BELOW if box[1] < base[1] and box[3] < base[3] else None
