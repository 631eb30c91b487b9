"""What is heard as server-sent events: each segment as soon as it is final."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from pydantic import BaseModel

from server.api.audio import types as wire
from server.api.audio.request import AudioRequest
from server.api.audio.response import logprobs
from server.speech.api import Heard, Segment
from server.speech.listening import Steps, joined


async def stream_events(request: AudioRequest, steps: Steps) -> AsyncGenerator[bytes]:
    segments, seconds = list[Segment](), 0.0
    async with aclosing(steps):
        async for step in steps:
            if isinstance(step, Heard):
                seconds = step.duration
            elif isinstance(step, Segment):
                yield _framed(_delta(request, step, first=not segments))
                segments.append(step)
    yield _framed(_done(request, segments, seconds))


def _delta(request: AudioRequest, segment: Segment, *, first: bool) -> wire.TextDelta:
    text = segment.text.lstrip() if first else segment.text
    return wire.TextDelta(delta=text, logprobs=list(logprobs(request.model, [segment])) if request.logprobs else None)


def _done(request: AudioRequest, segments: Sequence[Segment], seconds: float) -> wire.TextDone:
    found = list(logprobs(request.model, segments)) if request.logprobs else None
    return wire.TextDone(text=joined(segments), logprobs=found, usage=_usage(request, segments, seconds))


def _usage(request: AudioRequest, segments: Sequence[Segment], seconds: float) -> wire.Tokens:
    """As the specification has it of streams."""
    audio, written = request.model.audio_tokens(seconds), sum(len(segment.tokens) for segment in segments)
    text = len(request.model.tokenizer.encode(request.task.prompt)) if request.task.prompt else 0
    details = wire.InputTokens(text_tokens=text, audio_tokens=audio)
    return wire.Tokens(input_tokens=text + audio, input_token_details=details, output_tokens=written, total_tokens=text + audio + written)


def _framed(event: BaseModel) -> bytes:
    return b"data: " + event.model_dump_json().encode() + b"\n\n"
