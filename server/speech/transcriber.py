"""From windows of 30 seconds to the whole recording: each begins where the last complete segment of the one before it ended (Radford et al.
2022, arXiv 2212.04356, section 4.5; as openai-whisper goes on)."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from engine.api import ReadsFrames
from server.speech.api import RATE, Heard, Progress, Recording, Segment, SpeechTask, Word
from server.speech.listener import Answer, Listener
from server.speech.log_mel import HOP, LogMel
from server.speech.model import SpeechEngine
from server.speech.segments import Cut, Piece, cut
from server.speech.tokens import SpeechTokens
from server.speech.window import Window, frame_count, read_window
from server.speech.words.placing import Between, Span, placed
from server.speech.words.times import TimedWord
from server.text.tokenizer import ChatTokenizer

FRAME = HOP / RATE  # seconds
SHORTEST_REST = 10  # frames: in less nothing can be said
WARMEST_PREVIOUS = 0.5  # temperature from which an answer is nothing to go on from


class EngineTranscriber:
    """Implements server.speech.api.Transcriber by a Whisper model in an engine."""

    def __init__(self, engine: SpeechEngine, tokenizer: ChatTokenizer, tokens: SpeechTokens) -> None:
        """Raises ValueError for a model that hears nothing."""
        reader = engine.info.reader
        if reader is None or not isinstance(reader.reads, ReadsFrames):
            raise ValueError("this model hears nothing: it is no model of speech")
        self._listener = Listener(engine, tokenizer, tokens)
        self._log_mel = LogMel(reader.reads.bins, reader.reads.frames)
        self._rows = reader.context  # that the encoder makes of a window

    async def transcribe(self, recording: Recording, task: SpeechTask) -> AsyncGenerator[Heard | Segment | Progress]:
        """The words of a translation are those of the translation, at the times of what was said."""
        self._check(task)
        language = task.language or await self._language(recording)
        way, end = _Way(task, language, self._listener.tokens.opening(language, translate=task.translate)), frame_count(recording)
        yield Heard(language=language, duration=recording.samples / RATE)
        course = _Course(previous=self._encoded(task.prompt))
        while end - course.seek >= SHORTEST_REST:
            window = await asyncio.to_thread(read_window, recording, course.seek, self._log_mel)
            for segment in await self._hear(window, way, course):
                yield segment
            yield Progress(seconds=recording.samples / RATE if course.seek >= end else course.seek * FRAME)

    def _check(self, task: SpeechTask) -> None:
        """Raises ValueError for what the model cannot do."""
        tokens = self._listener.tokens
        tokens.opening(task.language or next(iter(tokens.languages), "en"), translate=task.translate)
        if task.words and not tokens.alignment_heads:
            raise ValueError("this model does not say which of its heads follow the sound, so it cannot tell the times of words")

    async def _language(self, recording: Recording) -> str:
        """Of the first window in which there is anything; English if there is none."""
        if not self._listener.tokens.languages:
            return "en"
        for seek in range(0, frame_count(recording), self._log_mel.frames):
            window = await asyncio.to_thread(read_window, recording, seek, self._log_mel)
            if window.frames is not None:
                return await self._listener.language(window.frames)
        return "en"

    def _encoded(self, prompt: str) -> tuple[int, ...]:
        return self._listener.tokenizer.encode(f" {prompt.strip()}") if prompt.strip() else ()

    async def _hear(self, window: Window, way: "_Way", course: "_Course") -> list[Segment]:
        """The segments of one window. Moves the course on."""
        if window.frames is None:
            course.seek += window.size
            return []
        ladder = [self._listener.sampling(temperature, way.task.seed) for temperature in way.task.temperatures]
        answer = await self._listener.hear(window.frames, course.previous, way.opening, ladder)
        if answer.silent:
            course.seek += window.size
            return []
        found = cut(answer.tokens, self._listener.tokens.first_time, window.size)
        pieces = [piece for piece in found.pieces if self._listener.text(answer.tokens[piece.first : piece.behind]).strip()]
        spans = await self._spans(window, way, answer, pieces, course.heard_until - window.seek * FRAME)
        segments = [
            self._segment(course.segments + number, window, answer, piece, span)
            for number, (piece, span) in enumerate(zip(pieces, spans, strict=True))
        ]
        course.go_on(segments, answer, self._advance(found, spans, window))
        return segments

    def _advance(self, found: Cut, spans: Sequence[Span], window: Window) -> int:
        """Where words have times the end of the last one is where something more is to be heard, rather than the time that the model tells,
        which may be amid the next word."""
        if found.advance == window.size or not spans or not spans[-1].words:
            return found.advance
        return round(spans[-1].end / FRAME) or found.advance

    async def _spans(self, window: Window, way: "_Way", answer: Answer, pieces: Sequence[Piece], heard_until: float) -> list[Span]:
        """When the pieces were said, with their words where these are asked for."""
        said = [self._listener.spoken(answer.logprobs[piece.first : piece.behind]) for piece in pieces]
        spans = [Span(piece.start * FRAME, piece.end * FRAME, len(spoken)) for piece, spoken in zip(pieces, said, strict=True)]
        if not way.task.words or not spans or window.frames is None:
            return spans
        rows = max(1, window.size * self._rows // self._log_mel.frames)
        language = "en" if way.task.translate else way.language
        words = await self._listener.words(window.frames, way.opening, [token for spoken in said for token in spoken], language, rows)
        return list(placed(spans, words, Between(heard_until, window.size * FRAME)))

    def _segment(self, number: int, window: Window, answer: Answer, piece: Piece, span: Span) -> Segment:
        tokens = answer.tokens[piece.first : piece.behind]
        return Segment(
            id=number,
            seek=window.seek,
            start=_seconds(window, span.start),
            end=_seconds(window, span.end),
            text=self._listener.text(tokens),
            tokens=tokens,
            temperature=answer.temperature,
            avg_logprob=answer.avg_logprob,
            compression_ratio=answer.compression_ratio,
            no_speech_prob=answer.no_speech_prob,
            logprobs=answer.logprobs[piece.first : piece.behind],
            words=tuple(_word(window, word) for word in span.words),
        )


@dataclass(frozen=True, slots=True)
class _Way:
    """How each window is heard."""

    task: SpeechTask
    language: str
    opening: tuple[int, ...]


@dataclass(slots=True)
class _Course:
    """How far the recording has been heard."""

    previous: tuple[int, ...]  # tokens of text that the next window goes on from
    seek: int = 0  # frames
    segments: int = 0
    heard_until: float = field(default=0.0)  # seconds

    def go_on(self, segments: Sequence[Segment], answer: Answer, advance: int) -> None:
        self.seek += advance
        self.segments += len(segments)
        self.heard_until = segments[-1].end if segments else self.heard_until
        said = tuple(token for segment in segments for token in segment.tokens)
        self.previous = () if answer.temperature >= WARMEST_PREVIOUS else (*self.previous, *said)


def _seconds(window: Window, seconds: float) -> float:
    """From the recording's beginning, to hundredths, and not beyond what was recorded."""
    return round(window.seek * FRAME + min(seconds, window.size * FRAME), 2)


def _word(window: Window, word: TimedWord) -> Word:
    return Word(text=word.text, start=_seconds(window, word.start), end=_seconds(window, word.end), probability=word.probability)
