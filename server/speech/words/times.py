"""The words of one window with their times, as openai-whisper tells them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from server.speech.words.alignment import token_rows
from server.speech.words.split import CLOSING, OPENING, split_words

ROW_SECONDS = 0.02  # of the encoder
SENTENCE_ENDS = ".。!！?？"
LONGEST_USUAL = 0.7  # seconds of a word: more is no median to go by


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedWord:
    text: str
    tokens: int
    start: float  # seconds from the window's beginning
    end: float
    probability: float


@dataclass(frozen=True, slots=True)
class SpokenTokens:
    """The text tokens of a window, in order."""

    tokens: Sequence[int]
    probabilities: Sequence[float]
    language: str  # in which they are


def timed_words(spoken: SpokenTokens, token_bytes: Mapping[int, bytes], weights_HTR: NDArray[np.float32], rows: int) -> list[TimedWord]:
    """`weights_HTR`: what Aligner.align tells of an opening, the spoken tokens and the end. `rows`: how many of the encoder's are of the
    recording. Punctuation is a part of the word beside it."""
    lead = weights_HTR.shape[1] - len(spoken.tokens) - 2  # what is looked at is what chooses the next token, so one comes before the first
    begins = [row * ROW_SECONDS for row in token_rows(weights_HTR, slice(lead, -1), rows).tolist()]
    words: list[TimedWord] = []
    at = 0
    for word in split_words(spoken.tokens, token_bytes, spoken.language):
        end = at + word.tokens
        probability = float(np.mean(spoken.probabilities[at:end]))
        words.append(TimedWord(text=word.text, tokens=word.tokens, start=begins[at], end=begins[end], probability=probability))
        at = end
    return list(_attached(_shortened(words)))


def usual_duration(words: Sequence[TimedWord]) -> float:
    """Seconds of a word; the half of them are longer."""
    durations = [word.end - word.start for word in words if word.end > word.start]
    return min(LONGEST_USUAL, float(np.median(durations))) if durations else 0.0


def _shortened(words: Sequence[TimedWord]) -> list[TimedWord]:
    """A word beside the end of a sentence takes the pause along; it is cut off."""
    longest, found = 2 * usual_duration(words), list(words[:1])
    for word in words[1:]:
        if longest and word.end - word.start > longest:
            if word.text.strip() in SENTENCE_ENDS:
                word = replace(word, end=word.start + longest)
            elif found[-1].text.strip() in SENTENCE_ENDS:
                word = replace(word, start=word.end - longest)
        found.append(word)
    return found


def _attached(words: Sequence[TimedWord]) -> Iterator[TimedWord]:
    """Punctuation goes with the word behind it, or the one before it, and takes its times."""
    waiting: TimedWord | None = None
    last: TimedWord | None = None
    for word in words:
        if waiting is not None:
            word, waiting = replace(word, text=waiting.text + word.text, tokens=waiting.tokens + word.tokens), None
        if word.text.startswith(" ") and word.text.strip() in OPENING:
            waiting = word
        elif last is not None and word.text in CLOSING and not last.text.endswith(" "):
            last = replace(last, text=last.text + word.text, tokens=last.tokens + word.tokens)
        else:
            if last is not None:
                yield last
            last = word
    yield from (word for word in (last, waiting) if word is not None)
