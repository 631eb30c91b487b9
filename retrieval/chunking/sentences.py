"""Sentence boundaries in any language that ends sentences with a mark. A full stop ends none after an initial, an abbreviation, or a short
word before a lower-case letter; reference marks like [1] belong to the sentence before them."""

import re
from collections.abc import Iterator

MARKS = re.compile(r"(?:\s*\[[\d,;\s]{1,200}\])+[.!?…]?")  # [1], [1][2], [1, 2]: part of the preceding sentence
_END = re.compile(
    r"""[.!?…]+["'”’»)\]]*(?=\s|\[\d)  # Western marks need a space behind them: "3.14" and "e.g." inside a word go on
    | [。！？｡]+["”’」』）]*  # those of Chinese and Japanese do not
    | [।॥؟۔]+(?=\s)
    | \n\s*\n
    | \n(?=[^\S\n]*(?:[-*•‣–]\s|\d{1,3}[.)]\s|\#{1,6}\s|\|))  # before a list item, heading or row
    """,
    re.X,
)
_INITIAL = re.compile(r"(?:^|[\s(.])[^\W\d]\.$")  # "J. Smith", "z. B."
_ITEM_NUMBER = re.compile(r"(?:^|\n)\s*\d{1,3}\.$")  # "1. First"
_ABBREVIATION = re.compile(
    r"\b(?:approx|ca|cf|ch|co|corp|dept|dr|eds?|eqs?|e\.g|et al|figs?|i\.e|inc|jr|ltd|mrs?|ms|nos?|nr|pp?|prof|refs?|sec|sr|st|vol|vs)\.$",
    re.I,
)
_SHORT_WORD = re.compile(r"\b[^\W\d]{1,3}\.$")
_LOOK_BACK = 12  # characters: longer than any of the abbreviations


def sentences(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence, in order and without surrounding space; they cover all that is not space."""
    return list(_sentences(text))


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    for end in _END.finditer(text):
        if end.start() < at or _is_abbreviation(text, end):
            continue
        marks = MARKS.match(text, end.end())
        stop = marks.end() if marks else end.end()
        yield from _trim(text, at, stop)
        at = stop
    yield from _trim(text, at, len(text))


def _is_abbreviation(text: str, end: re.Match[str]) -> bool:
    if end[0][0] != ".":
        return False
    after = text[end.end() : end.end() + 3].lstrip()
    before = text[max(end.start() - _LOOK_BACK, 0) : end.start() + 1]
    short = after[:1].islower() and _SHORT_WORD.search(before)  # some texts are all lower case
    return bool(short or _INITIAL.search(before) or _ITEM_NUMBER.search(before) or _ABBREVIATION.search(before))


def _trim(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end
