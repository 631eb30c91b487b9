"""Lines with Arabic or Hebrew: a PDF says where each letter stands, and no producer's order of them can be relied on. The order in which
they are read is found from their places: the Unicode Bidirectional Algorithm (UAX #9) backwards."""

import re
import unicodedata
from bisect import bisect, bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from retrieval.parse.pdf.page.geometry import Box

_LATIN = re.compile(r"[A-Za-z\u00c0-\u058f]")
RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")
WORD_GAP = 0.15  # of the line height: a wider gap between letters separates words
MIN_GAP = 0.04  # of the line height: the least where PDFium sees a space
NEAR = 0.12  # of the line height: so far from a gap may that space be
FAR = 100  # glyphs within which a bracket is closed
_DIRECTIONS = {"R": "R", "AL": "R", "L": "L", "EN": "N", "AN": "N"}
_SEPARATORS, _HEBREW_SEPARATORS = ",./:٫٬", "-+"  # within numbers; the latter not after Arabic letters (UAX #9, W2 to W4)
_BEFORE, _AFTER = "$€£₪¥", "%‰°$€£₪¥"  # signs that belong to a number
_BRACKETS = str.maketrans("()[]{}<>«»", ")(][}{><»«")
_OPENING, _CLOSING = "([{", ")]}"
_UNJOINED = "اأإآٱىدذرزوةؤء"  # letters that join no letter after them, so they end a ligature


class Glyph(NamedTuple):
    """One place of a line and the characters that stand there. `kind`: R, L or N as the first letter or digit says; "" for others."""

    text: str
    left: float
    right: float
    kind: str = ""


@dataclass(frozen=True, slots=True)
class _Run:
    """Glyphs as they stand from left to right, which are read in one direction."""

    glyphs: list[Glyph]
    leftwards: bool


def glyphs(characters: Sequence[tuple[str, Box]], size: float) -> list[Glyph]:
    """From left to right, with a space wherever words are apart. `characters`: with their boxes, PDFium's white space among them."""
    placed, marks, spaces = list[Glyph](), list[Glyph](), list[float]()
    for char, (left, _, right, _) in characters:
        if not char.strip():
            spaces.append((left + right) / 2)
        elif placed and placed[-1][1:3] == (left, right):
            placed[-1] = _glyph(_ligature(placed[-1].text + char), left, right)
        elif unicodedata.category(char) == "Mn":
            marks.append(Glyph(char, left, right))
        else:
            placed.append(_glyph(char, left, right))
    placed.sort(key=_middle)
    return list(_parted(_marked(placed, marks), sorted(spaces), size))


def is_leftward(text: str) -> bool:
    """Whether a page of this text is read from right to left."""
    return len(RIGHT_TO_LEFT.findall(text)) > len(_LATIN.findall(text)) / 2


def logical(line: Sequence[Glyph], *, page_leftwards: bool) -> list[list[Glyph]]:
    """The words of a line in reading order, each of its glyphs in reading order. `page_leftwards`: as is_leftward says."""
    leftwards = page_leftwards or _is_leftwards(line)
    arabic = any(unicodedata.bidirectional(glyph.text[0]) == "AL" for glyph in line)
    runs = list(_runs(line, leftwards, arabic))
    ordered = [glyph for run in (reversed(runs) if leftwards else runs) for glyph in _read(run)]
    words = [list[Glyph]()]
    for glyph in ordered:
        if glyph.text != " ":
            words[-1].append(glyph)
        elif words[-1]:
            words.append([])
    return [word for word in words if word]


def _glyph(text: str, left: float, right: float) -> Glyph:
    return Glyph(text, left, right, next((kind for char in text if (kind := _DIRECTIONS.get(unicodedata.bidirectional(char), ""))), ""))


def _middle(glyph: Glyph) -> float:
    return glyph.left + glyph.right  # twice as much


def _ligature(text: str) -> str:
    """In reading order: some files give lam and alef, drawn as one, in the order in which they stand."""
    return text[::-1] if text[0] in _UNJOINED and text[-1] not in _UNJOINED and text[-1].isalpha() else text


def _marked(placed: list[Glyph], marks: Sequence[Glyph]) -> list[Glyph]:
    """Vowel points and the like behind the letter that they stand on."""
    middles = [_middle(glyph) for glyph in placed]
    for mark in marks if placed else ():
        at = bisect(middles, _middle(mark))
        near = [number for number in (at - 1, at) if 0 <= number < len(placed)]
        best = min(near, key=lambda number: abs(middles[number] - _middle(mark)))
        placed[best] = placed[best]._replace(text=placed[best].text + mark.text)
    return placed


def _parted(placed: Sequence[Glyph], spaces: Sequence[float], size: float) -> Iterator[Glyph]:
    for before, after in pairwise(placed):
        yield before
        gap = after.left - before.right
        if gap > WORD_GAP * size or (gap > MIN_GAP * size and _has_any(spaces, before.right - NEAR * size, after.left + NEAR * size)):
            yield Glyph(" ", before.right, after.left)
    yield from placed[-1:]


def _has_any(ascending: Sequence[float], low: float, high: float) -> bool:
    at = bisect_left(ascending, low)
    return at < len(ascending) and ascending[at] <= high


def _is_leftwards(line: Sequence[Glyph]) -> bool:
    kinds = [glyph.kind for glyph in line]
    return kinds.count("R") * 2 >= kinds.count("L")


def _runs(line: Sequence[Glyph], leftwards: bool, arabic: bool) -> Iterator[_Run]:
    """Of a line that is read from right to left: Latin words and numbers in it, and what is between them. Else the reverse."""
    at, between = 0, list[Glyph]()
    while at < len(line):
        end = (_end_of_latin if leftwards else _end_of_leftwards)(line, at, arabic)
        if end <= at:
            between.append(line[at])
            at += 1
            continue
        if between:
            yield _Run(between, leftwards)
            between = []
        yield _Run(list(line[at:end]), not leftwards)
        at = end
    if between:
        yield _Run(between, leftwards)


def _end_of_leftwards(line: Sequence[Glyph], start: int, arabic: bool) -> int:
    """Where the Arabic or Hebrew that begins at `start` ends; `start` if none does."""
    end = start
    for at in range(start, len(line)):
        kind = line[at].kind
        if kind == "R":
            end = at + 1
        elif kind == "L" or at == start:
            break
    return end


def _end_of_latin(line: Sequence[Glyph], start: int, arabic: bool) -> int:
    """Where the Latin words or the number that begin at `start` end; `start` if none do."""
    first = start
    while first < min(len(line), start + FAR) and line[first].text in (*_OPENING, *_BEFORE):
        first += 1
    if (
        first == len(line)
        or line[first].kind not in ("L", "N")
        or (first > start and line[start].text in _OPENING and not _closes(line, start))
    ):
        return start
    end, worded = first + 1, line[first].kind == "L"
    for at in range(first + 1, len(line)):
        kind = line[at].kind
        if kind == "R":
            break
        worded |= kind == "L"
        if kind and (worded or _goes_on(line, at, end, arabic)):
            end = at + 1
        elif kind:
            break  # another number
    return _with_signs(line, start, end)


def _goes_on(line: Sequence[Glyph], at: int, end: int, arabic: bool) -> bool:
    """Whether a digit belongs to the number that ends before `end`: side by side, or with a separator between them."""
    separators = _SEPARATORS if arabic else _SEPARATORS + _HEBREW_SEPARATORS
    return at == end or (at == end + 1 and line[end].text in separators)


def _with_signs(line: Sequence[Glyph], start: int, end: int) -> int:
    if end < len(line) and line[end - 1].kind == "N" and line[end].text in _AFTER:
        end += 1
    if end < len(line) and line[end].text in _CLOSING and any(glyph.text in _OPENING for glyph in line[start:end]):
        end += 1
    return end


def _closes(line: Sequence[Glyph], start: int) -> bool:
    """Whether the bracket at `start` is closed before any Arabic or Hebrew."""
    for glyph in line[start + 1 : start + FAR]:
        if glyph.kind == "R":
            return False
        if glyph.text in _CLOSING:
            return True
    return False


def _read(run: _Run) -> list[Glyph]:
    if not run.leftwards:
        return run.glyphs
    read = run.glyphs[::-1]
    inside = "".join(glyph.text for glyph in read)
    mirrored = inside.translate(_BRACKETS)
    if _mismatches(mirrored) < _mismatches(inside):
        return [glyph._replace(text=glyph.text.translate(_BRACKETS)) for glyph in read]
    return read


def _mismatches(text: str) -> int:
    """Closing brackets without an opening one before them."""
    depth, count = 0, 0
    for char in text:
        depth += char in _OPENING
        if char in _CLOSING:
            count, depth = (count, depth - 1) if depth else (count + 1, 0)
    return count
