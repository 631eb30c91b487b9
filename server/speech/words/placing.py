"""Words go into the segments that they belong to, and the times of both are brought together, as openai-whisper does it: attention is vague
where nothing is said, and the model's own times of a segment where it is long."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from server.speech.words.times import TimedWord, usual_duration

APART = 0.5  # seconds between a segment's time and a word's from which the segment's is believed
PAUSE = 4  # usual words: after so long a silence a word is not believed to be long


@dataclass(frozen=True, slots=True)
class Span:
    """A segment: seconds from the window's beginning."""

    start: float
    end: float
    tokens: int  # of text
    words: tuple[TimedWord, ...] = ()


@dataclass(frozen=True, slots=True)
class Between:
    """What a window's words lie between: seconds from its beginning."""

    heard_until: float  # when the last word before it ended
    end: float  # of what was recorded


def placed(spans: Sequence[Span], words: Sequence[TimedWord], between: Between) -> Iterator[Span]:
    usual, at, heard_until = usual_duration(words), 0, between.heard_until
    for span in spans:
        own, count = list[TimedWord](), 0
        while at < len(words) and count < span.tokens:
            own.append(words[at])
            count, at = count + words[at].tokens, at + 1
        if own:
            own = _after_pause(own, usual) if own[0].end - heard_until > PAUSE * usual else own
            span = _ended(_begun(replace(span, words=tuple(own)), usual), usual)
            span = _until(span, between.end)
            heard_until = span.end
        yield span


def _after_pause(words: Sequence[TimedWord], usual: float) -> list[TimedWord]:
    """The first two words may have taken the silence before them along."""
    first, *rest = words
    longest = 2 * usual
    if first.end - first.start <= longest and not (rest and rest[0].end - first.start > 2 * longest):
        return [first, *rest]
    if rest and rest[0].end - rest[0].start > longest:
        border = max(rest[0].end / 2, rest[0].end - longest)
        first, rest[0] = replace(first, end=border), replace(rest[0], start=border)
    return [replace(first, start=max(0.0, first.end - longest)), *rest]


def _begun(span: Span, usual: float) -> Span:
    first, *rest = span.words
    if first.start + APART < span.start < first.end:
        first = replace(first, start=max(0.0, min(first.end - usual, span.start)))
    return replace(span, start=first.start, words=(first, *rest))


def _ended(span: Span, usual: float) -> Span:
    *rest, last = span.words
    if last.start < span.end < last.end - APART:
        last = replace(last, end=max(last.start + usual, span.end))
    return replace(span, end=last.end, words=(*rest, last))


def _until(span: Span, limit: float) -> Span:
    words = tuple(replace(word, start=min(word.start, limit), end=min(word.end, limit)) for word in span.words)
    return replace(span, start=min(span.start, limit), end=min(span.end, limit), words=words)
