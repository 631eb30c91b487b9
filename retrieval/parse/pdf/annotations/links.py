"""Puts the targets of links behind their text: the page shows the text alone."""

import re
from collections.abc import Iterator, Sequence

from retrieval.parse.pdf.annotations.annotations import Link
from retrieval.parse.pdf.page.geometry import Box
from retrieval.parse.pdf.page.lines import HYPHEN, Line

MAX_INLINE = 12  # links of a page with different targets: of more the targets are listed after its text
_SCHEME = re.compile(r"^(?:https?://|mailto:|tel:)(?:www\.)?", re.I)


def with_targets(lines: Sequence[Line], links: Sequence[Link]) -> tuple[list[Line], list[str]]:
    """The lines, and a list of targets that do not stand in them."""
    made, listed, heights = list(lines), dict[str, None](), [line.middle for line in lines]
    inline = len({link.target for link in links}) <= MAX_INLINE
    for link in links:
        words = list(_words_inside(made, heights, link.boxes))
        text = " ".join(made[at].words[number].text for at, number in words)
        if _shows(text, link.target):
            continue
        if inline and words:
            at, number = words[-1]
            made[at] = _with_target(made[at], number, link.target)
        else:
            listed[f"{text.replace(HYPHEN, '')}: {link.target}" if words else link.target] = None
    return made, list(listed)


def _words_inside(lines: Sequence[Line], heights: Sequence[float], boxes: Sequence[Box]) -> Iterator[tuple[int, int]]:
    """Index of the line, and of the word in it."""
    for at, y in enumerate(heights):
        for left, bottom, right, top in boxes:
            if bottom <= y <= top:
                yield from ((at, number) for number, word in enumerate(lines[at].words) if left <= (word.left + word.right) / 2 <= right)


def _shows(text: str, target: str) -> bool:
    """Whether the text is the target, as bare addresses are; perhaps with a part of the line around it."""
    bare = "".join(text.replace(HYPHEN, "-").split()).casefold()
    return _SCHEME.sub("", target).rstrip("/").casefold() in bare or (len(bare) > 5 and bare in target.casefold())


def _with_target(line: Line, number: int, target: str) -> Line:
    word = line.words[number]
    stem = word.text.rstrip(".,;:!?)")
    marked = word._replace(text=f"{stem} ({target}){word.text[len(stem) :]}")
    return line._replace(words=(*line.words[:number], marked, *line.words[number + 1 :]))
