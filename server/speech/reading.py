"""Recordings for the knowledge base. Implements retrieval.api.SpeechReader."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from retrieval.api import Spoken, Unreadable
from server.core.errors import ApiError
from server.speech.api import AudioError, SpeechTask
from server.speech.listening import collected, heard
from server.speech.model import SpeechModel

LATER = 1  # the priority: behind whatever a client waits for


@dataclass(frozen=True)
class RecordingReader:
    model: SpeechModel

    async def read(self, content: AsyncIterator[bytes]) -> Sequence[Spoken]:
        with TemporaryDirectory(prefix="stoa-audio-") as folder:
            file = Path(folder) / "recording"
            await _write(content, file)
            try:
                return await self._heard(file)
            except AudioError as error:
                raise Unreadable(str(error), "unsupported_file" if error.code == "unsupported_format" else "invalid_file") from error
            except ApiError as error:
                raise Unreadable(error.message, "server_error") from error

    async def _heard(self, file: Path) -> Sequence[Spoken]:
        model = self.model.with_requests(lambda request: replace(request, priority=LATER))
        async with model.decoder.decode(file) as recording:
            found = await collected(heard(model, recording, SpeechTask(), "file"))
        return [Spoken(text=segment.text, start=segment.start, end=segment.end) for segment in found.segments]


async def _write(content: AsyncIterator[bytes], file: Path) -> None:
    with file.open("wb") as target:
        async for part in content:
            await asyncio.to_thread(target.write, part)
