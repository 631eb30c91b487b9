"""From what was heard to the answer."""

import math
from collections.abc import Iterator, Sequence

from server.api.audio import types as wire
from server.api.audio.request import AudioRequest
from server.http.warnings import to_warning_objects
from server.speech.api import Segment
from server.speech.languages import language_name
from server.speech.listening import Transcript
from server.speech.model import SpeechModel
from server.speech.subtitles import to_srt, to_vtt

JSON, TEXT = "application/json", "text/plain; charset=utf-8"
PLACES = 3  # decimals of a second


def formatted(request: AudioRequest, transcript: Transcript) -> tuple[bytes, str]:
    """The body and its media type."""
    match request.format:
        case "json":
            return plain(request, transcript).model_dump_json().encode(), JSON
        case "verbose_json":
            return verbose(request, transcript).model_dump_json().encode(), JSON
        case "text":
            return f"{transcript.text}\n".encode(), TEXT
        case "srt":
            return to_srt(transcript.segments).encode(), TEXT
        case "vtt":
            return to_vtt(transcript.segments).encode(), TEXT


def plain(request: AudioRequest, transcript: Transcript) -> wire.Plain:
    return wire.Plain(
        text=transcript.text,
        logprobs=list(logprobs(request.model, transcript.segments)) if request.logprobs else None,
        usage=duration(transcript.heard.duration),
        warnings=to_warning_objects(request.warnings),
    )


def verbose(request: AudioRequest, transcript: Transcript) -> wire.Verbose:
    task, heard = request.task, transcript.heard
    return wire.Verbose(
        task="translate" if task.translate else "transcribe",
        language="english" if task.translate else language_name(heard.language),
        duration=round(heard.duration, PLACES),
        text=transcript.text,
        words=[word for segment in transcript.segments for word in _words(segment)] if task.words else None,
        segments=list(map(_segment, transcript.segments)) if request.segments else None,
        usage=duration(heard.duration),
        warnings=to_warning_objects(request.warnings),
    )


def duration(seconds: float) -> wire.Duration:
    return wire.Duration(seconds=math.ceil(seconds))


def logprobs(model: SpeechModel, segments: Sequence[Segment]) -> Iterator[wire.Logprob]:
    """Of the tokens of text, not of those that are times."""
    for found in (found for segment in segments for found in segment.logprobs):
        if name := model.tokenizer.visible_bytes[found.token]:
            yield wire.Logprob(token=name.decode(errors="replace"), logprob=found.logprob, bytes=list(name))


def _words(segment: Segment) -> Iterator[wire.Word]:
    for word in segment.words:
        yield wire.Word(word=word.text.strip(), start=round(word.start, PLACES), end=round(word.end, PLACES))


def _segment(segment: Segment) -> wire.Segment:
    return wire.Segment(
        id=segment.id,
        seek=segment.seek,
        start=round(segment.start, PLACES),
        end=round(segment.end, PLACES),
        text=segment.text,
        tokens=list(segment.tokens),
        temperature=segment.temperature,
        avg_logprob=segment.avg_logprob,
        compression_ratio=segment.compression_ratio,
        no_speech_prob=segment.no_speech_prob,
    )
