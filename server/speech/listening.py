"""From a file to what is said in it, step by step or as a whole. Whatever goes wrong becomes an ApiError."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from server.core.errors import ErrorFields, bad_request, map_engine_errors
from server.speech.api import AudioError, Heard, Progress, Recording, Segment, SpeechTask
from server.speech.model import SpeechModel

Steps = AsyncGenerator[Heard | Segment | Progress]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    heard: Heard
    segments: Sequence[Segment]

    @property
    def text(self) -> str:
        return joined(self.segments)


def joined(segments: Sequence[Segment]) -> str:
    """Their text as one. Segments bring the spaces between them along, where the language has any."""
    return "".join(segment.text for segment in segments).strip()


@asynccontextmanager
async def decoded(model: SpeechModel, file: Path, field: str) -> AsyncGenerator[Recording]:
    """What is to be heard in a file, until the context ends; `field`: of the request, which holds it. Raises ApiError."""
    async with AsyncExitStack() as stack:
        try:
            recording = await stack.enter_async_context(model.decoder.decode(file))
        except AudioError as error:
            raise bad_request(field, f"{field}: {error}", error.code) from error
        yield recording


async def heard(
    model: SpeechModel, recording: Recording, task: SpeechTask, field: str, observe: Callable[[float], object] | None = None
) -> Steps:
    """`Heard` comes first; closing it aborts. `field`: of the request, which holds the recording; `observe` is told of the seconds that
    were listened to. Raises ApiError."""
    done = 0.0
    async with aclosing(map_engine_errors(_steps(model, recording, task), ErrorFields(prompt=field, grammar=field))) as steps:
        try:
            async for step in steps:
                done = step.seconds if isinstance(step, Progress) else done
                yield step
        finally:
            if observe is not None:
                observe(done)


async def collected(steps: Steps) -> Transcript:
    """Closes `steps`, and raises what they do."""
    first, segments = Heard(language="", duration=0.0), list[Segment]()
    async with aclosing(steps):
        async for step in steps:
            if isinstance(step, Heard):
                first = step
            elif isinstance(step, Segment):
                segments.append(step)
    return Transcript(heard=first, segments=segments)


async def _steps(model: SpeechModel, recording: Recording, task: SpeechTask) -> Steps:
    async with aclosing(model.transcriber.transcribe(recording, task)) as steps:
        try:
            async for step in steps:
                yield step
        except ValueError as error:  # of a task that this model cannot do
            field = "language" if task.language is not None and not task.translate else "model"
            raise bad_request(field, f"{field}: {error}", "unsupported") from error
