"""Lines from the places of single characters. PDFium takes pages with few words, each letter drawn by itself, for vertical writing and
shatters their words."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from retrieval.parse.pdf.page.geometry import Box
from retrieval.parse.pdf.page.lines import Line, Word, line_of

WORD_GAP = 0.15  # of the line height: a wider gap between letters separates words
TOUCHING = 0.12  # of the line height: lines nearer to each other than this, at one height, are parts of a word
MIN_BREAKS = 3  # within words: from here on, a page is shattered


def is_shattered(lines: Sequence[Line]) -> bool:
    """Whether words go on in the next line, at the same height."""
    breaks = sum(
        abs(one.middle - other.middle) < 0.2 * one.size and abs(other.left - one.right) < TOUCHING * one.size
        for one, other in pairwise(lines)
        if not one.sideways
    )
    return breaks >= MIN_BREAKS and breaks * 10 > len(lines)


def lines_of_glyphs(text: str, box_of: Callable[[int], Box]) -> list[Line]:
    """From top to bottom. `text`: the characters of a page; `box_of`: the box of one."""
    glyphs = [(char, box_of(index)) for index, char in enumerate(text) if char.strip()]
    return [_line(row) for row in _rows(sorted(glyphs, key=lambda glyph: -_middle(glyph[1])))]


def _rows(glyphs: Sequence[tuple[str, Box]]) -> Iterator[list[tuple[str, Box]]]:
    row: list[tuple[str, Box]] = []
    for glyph in glyphs:
        if row and _middle(row[0][1]) - _middle(glyph[1]) > 0.5 * (row[0][1][3] - row[0][1][1]):
            yield row
            row = []
        row.append(glyph)
    if row:
        yield row


def _line(row: list[tuple[str, Box]]) -> Line:
    row.sort(key=lambda glyph: glyph[1][0])
    sizes = sorted(box[3] - box[1] for _, box in row)
    size, words = sizes[len(sizes) // 2], list[Word]()
    for char, (left, _, right, _) in row:
        if words and left - words[-1].right <= WORD_GAP * size:
            words[-1] = Word(words[-1].text + char, words[-1].left, max(right, words[-1].right))
        else:
            words.append(Word(char, left, right))
    return line_of(words, max(box[3] for _, box in row), min(box[1] for _, box in row), size)


def _middle(box: Box) -> float:
    return (box[1] + box[3]) / 2
