"""POST /v1/audio/transcriptions and /v1/audio/translations."""

import asyncio
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from server.api.audio.form_types import LISTS, AudioForm, TranscriptionForm, TranslationForm
from server.api.audio.request import AudioRequest, to_transcription, to_translation
from server.api.audio.response import formatted
from server.api.audio.stream import stream_events
from server.api.audio.types import Transcription
from server.core.cost import before_long_work, current_account
from server.http.auth import expect_allowed_origin
from server.http.body import read_query
from server.http.connection.disconnect import while_connected
from server.http.endpoint import Endpoint, Form
from server.http.handlers import BODY_ERRORS, noting_disconnect, request_context
from server.http.lists import NoQuery
from server.http.multipart import Upload, read_upload
from server.http.sse import send_body, send_events
from server.http.warnings import warning_headers
from server.runtime.runtime import Runtime, expect_speech
from server.runtime.serving import Serving
from server.speech.listening import Steps, collected, decoded, heard
from server.speech.model import SpeechModel

FILE = "file"  # the field that holds the recording
Read = Callable[[Runtime, SpeechModel, Upload], AudioRequest]


def endpoints(state: Serving) -> list[Endpoint]:
    return [
        _endpoint(state, "/v1/audio/transcriptions", "What is said in a recording", TranscriptionForm, to_transcription),
        _endpoint(state, "/v1/audio/translations", "What is said in a recording, in English", TranslationForm, to_translation),
    ]


def _endpoint(state: Serving, path: str, summary: str, form: type[AudioForm], read: Read) -> Endpoint:
    return Endpoint(
        method="POST",
        path=path,
        summary=summary,
        run=partial(_run, state, read),
        body=Form(fields=form),
        answer=Transcription,
        plain=True,
        errors=tuple(sorted({*BODY_ERRORS, 403})),
        streams="text/event-stream" if "stream" in form.model_fields else None,
    )


async def _run(state: Serving, read: Read, scope: Scope, receive: Receive, send: Send) -> None:
    context = request_context(state, scope)
    read_query(scope, NoQuery)
    expect_allowed_origin(state, Headers(scope=scope))
    model = expect_speech(context.runtime, "model")
    with state.count_request(), noting_disconnect(state), TemporaryDirectory(prefix="stoa-audio-") as folder:
        file, pace = Path(folder) / "recording", state.throttle.body(current_account(), kept=False)
        async with pace, read_upload(scope, receive, state.settings.max_audio_bytes, pace, lists=LISTS) as upload:
            request = read(context.runtime, model, upload)
            await asyncio.to_thread(_write, upload, file)
        await before_long_work()
        await while_connected(receive, _answer(state, request, file, send))


def _write(upload: Upload, file: Path) -> None:
    with file.open("wb") as target:
        shutil.copyfileobj(upload.content, target)


async def _answer(state: Serving, request: AudioRequest, file: Path, send: Send) -> None:
    async with decoded(request.model, file, FILE) as recording:
        steps = heard(request.model, recording, request.task, FILE, state.metrics.audio_heard)
        await _send(request, steps, send)


async def _send(request: AudioRequest, steps: Steps, send: Send) -> None:
    headers = warning_headers(request.warnings)
    if request.stream:
        await send_events(send, stream_events(request, steps), headers)
    else:
        body, media_type = formatted(request, await collected(steps))
        await send_body(send, 200, body, media_type, headers)
