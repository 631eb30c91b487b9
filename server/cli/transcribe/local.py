"""Transcribes with a model that is loaded into this process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from server.api.audio.request import AudioRequest
from server.api.audio.response import formatted
from server.cli.transcribe.command import DEFAULT_MODEL, Transcribe, TranscribeCommand
from server.cli.transcribe.progress import Bar
from server.runtime.loading.speech import open_speech_model
from server.runtime.settings import Settings
from server.speech.api import Heard, Progress
from server.speech.listening import Steps, collected, decoded, heard
from server.speech.model import SpeechModel
from server.weights.progress import progress_bar


@asynccontextmanager
async def open_local(command: TranscribeCommand, settings: Settings) -> AsyncGenerator[Transcribe]:
    """Raises PullError, ValueError."""
    model = await asyncio.to_thread(_open, settings)
    try:
        yield partial(_transcribe, model, command)
    finally:
        await model.engine.close()
        await asyncio.to_thread(model.decoder.close)


def _open(settings: Settings) -> SpeechModel:
    with progress_bar() as progress:
        return open_speech_model(settings, settings.transcription_model or DEFAULT_MODEL, progress)


async def _transcribe(model: SpeechModel, command: TranscribeCommand, file: Path, bar: Bar) -> bytes:
    request = AudioRequest(model=model, task=command.task, format=command.format)
    async with decoded(model, file, "file") as recording:
        return formatted(request, await collected(_shown(heard(model, recording, command.task, "file"), bar)))[0]


async def _shown(steps: Steps, bar: Bar) -> Steps:
    async for step in steps:
        if isinstance(step, Heard):
            bar.begin(step.duration)
        elif isinstance(step, Progress):
            bar.move(step.seconds)
        yield step
