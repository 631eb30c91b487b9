"""Recordings in messages of the user, written down by the model of speech where there is one: the chat model reads text. What is said in
them is text of the user's like any other."""

import asyncio
import base64
import binascii
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from server.api.chat_completions.content_types import AudioPart, TextPart, UserPart
from server.api.chat_completions.message_types import Message, UserMessage
from server.api.chat_completions.types import ChatRequest
from server.core.cost import before_long_work
from server.core.errors import bad_request
from server.runtime.runtime import Runtime, expect_speech
from server.speech.api import SpeechTask
from server.speech.listening import collected, decoded, heard
from server.speech.model import SpeechModel


@dataclass(frozen=True)
class Written:
    """A request without recordings. `tokens`: of the text that has taken their place."""

    body: ChatRequest
    tokens: int = 0


async def write_down(runtime: Runtime, body: ChatRequest) -> Written:
    """Raises ApiError, which names the part, for one that cannot be read, and where there is no model of speech."""
    places = [(at, place) for at, message in enumerate(body.messages) for place, part in enumerate(_parts(message)) if _is_audio(part)]
    if not places:
        return Written(body)
    model = expect_speech(runtime, f"messages.{places[0][0]}.content.{places[0][1]}.type")
    await before_long_work()
    written = Written(body)
    for at, place in places:
        written = await _with_text(runtime, model, written, at, place)
    return written


def _parts(message: Message) -> list[UserPart]:
    return message.content if isinstance(message, UserMessage) and isinstance(message.content, list) else []


def _is_audio(part: UserPart) -> bool:
    return isinstance(part, AudioPart)


async def _with_text(runtime: Runtime, model: SpeechModel, written: Written, at: int, place: int) -> Written:
    """The part at that place of the message there is written down."""
    message, parts = written.body.messages[at], list(_parts(written.body.messages[at]))
    part = parts[place]
    assert isinstance(part, AudioPart)
    text = await _said(model, part, f"messages.{at}.content.{place}.input_audio.data")
    parts[place] = TextPart(type="text", text=text)
    messages = list(written.body.messages)
    messages[at] = message.model_copy(update={"content": parts})
    body = written.body.model_copy(update={"messages": messages})
    return replace(written, body=body, tokens=written.tokens + len(runtime.tokenizer.encode(text)))


async def _said(model: SpeechModel, part: AudioPart, field: str) -> str:
    content = part.input_audio.data.encode()
    try:
        data = base64.b64decode(content.partition(b"base64,")[2] if content.startswith(b"data:") else content, validate=True)
    except binascii.Error as error:
        raise bad_request(field, f"{field}: it is no base64: {error}", "invalid_base64") from error
    with TemporaryDirectory(prefix="stoa-audio-") as folder:
        file = Path(folder) / "recording"
        await asyncio.to_thread(file.write_bytes, data)
        async with decoded(model, file, field) as recording:
            return (await collected(heard(model, recording, SpeechTask(), field))).text
