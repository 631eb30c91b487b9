"""Transcribes with a running server, over HTTP."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from server.cli.transcribe.command import DEFAULT_MODEL, SpeechServer, Transcribe, TranscribeCommand, TranscriptionFailed
from server.cli.transcribe.progress import Bar

CONNECT_SECONDS = 10.0  # nothing limits how long the answer takes


@asynccontextmanager
async def open_remote(command: TranscribeCommand, server: SpeechServer) -> AsyncGenerator[Transcribe]:
    """Raises httpx.HTTPError, TranscriptionFailed."""
    headers = {"Authorization": f"Bearer {server.api_key}"} if server.api_key else {}
    timeout = httpx.Timeout(None, connect=CONNECT_SECONDS)
    async with httpx.AsyncClient(base_url=server.url.rstrip("/"), headers=headers, timeout=timeout) as http:
        yield partial(_transcribe, http, command, server.model or DEFAULT_MODEL)


async def _transcribe(http: httpx.AsyncClient, command: TranscribeCommand, model: str, file: Path, _: Bar) -> bytes:
    task = command.task
    path = "/v1/audio/translations" if task.translate else "/v1/audio/transcriptions"
    with file.open("rb") as content:
        answer = await http.post(path, data=_fields(command, model), files={"file": (file.name, content)})
    if answer.status_code != 200:
        raise TranscriptionFailed(_message(answer))
    return answer.content


def _fields(command: TranscribeCommand, model: str) -> dict[str, Any]:
    task = command.task
    given = {"model": model, "response_format": command.format, "language": task.language, "prompt": task.prompt}
    words = {"timestamp_granularities[]": ["word", "segment"]} if task.words else {}
    return {**{name: value for name, value in given.items() if value}, **words}


def _message(answer: httpx.Response) -> str:
    try:
        return json.loads(answer.text)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        return f"the server answered with status {answer.status_code}"
