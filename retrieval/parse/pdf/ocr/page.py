"""Lines of a page from its picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from retrieval.parse.pdf.ocr.tesseract import UPRIGHT_CONFIDENCE, Picture, RecognisedLine, Recogniser
from retrieval.parse.pdf.page.geometry import Box
from retrieval.parse.pdf.page.lines import HYPHEN, Line, Word, line_of

SAME_SIZE = 0.2  # lines whose heights differ less from the median are taken for text of one size: heights are measured
MIN_WORD = 2.5  # letters of a word, on average: text that lies on its side is taken for many short ones
TURNS = (0, 90, 270, 180)  # degrees, clockwise


@dataclass(frozen=True, slots=True)
class RecognisedPage:
    """Places are points, y grows upwards from the lower edge of the picture that was upright."""

    lines: list[Line]
    box: Box
    turn: int  # degrees, clockwise, by which the page had to be turned


def recognise(recogniser: Recogniser, picture_of: Callable[[int], Picture]) -> RecognisedPage:
    """`picture_of`: the page, turned clockwise by that many degrees. Turned ones are tried where the text is unclear."""
    best, best_score = RecognisedPage([], (0, 0, 0, 0), 0), -1.0
    for turn in TURNS:
        picture = picture_of(turn)
        found = recogniser.lines(picture)
        confidence = recogniser.confidence() if found else 0
        words = [word.text for line in found for word in line.words]
        letters = sum(sum(map(str.isalnum, word)) for word in words)
        if confidence * letters > best_score:
            best, best_score = _page(found, picture, turn), confidence * letters
        clear = confidence >= UPRIGHT_CONFIDENCE and letters >= MIN_WORD * len(words)
        if clear or not found or not recogniser.has_time():
            break
    return best


def _page(found: Sequence[RecognisedLine], picture: Picture, turn: int) -> RecognisedPage:
    scale, usual = 72 / picture.dpi, median(line.height for line in found) if found else 0
    lines = [_line(line, picture.height, scale, usual) for line in found]
    return RecognisedPage(lines, (0, 0, picture.width * scale, picture.height * scale), turn)


def _line(line: RecognisedLine, height: int, scale: float, usual: float) -> Line:
    size = usual if abs(line.height - usual) < SAME_SIZE * usual else line.height
    top, bottom = min(word.top for word in line.words), max(word.bottom for word in line.words)
    words = [Word(word.text, word.left * scale, word.right * scale) for word in line.words]
    if words[-1].text[-1] == "-" and words[-1].text[-2:-1].isalpha():
        words[-1] = words[-1]._replace(text=words[-1].text[:-1] + HYPHEN)
    return line_of(words, (height - top) * scale, (height - bottom) * scale, size * scale)
