"""`stoa transcribe`: what is said in files, with a model loaded for the occasion or with a running server."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from server.api.audio.form_types import Format
from server.cli.errors import print_error
from server.cli.transcribe.progress import Bar, progress_bars
from server.core.errors import ApiError
from server.runtime.settings import Settings
from server.speech.api import SpeechTask
from server.speech.languages import language_code
from server.weights.cache import PullError

SUFFIXES: dict[Format, str] = {"text": ".txt", "srt": ".srt", "vtt": ".vtt", "json": ".json", "verbose_json": ".json"}
IN_A_ROW: tuple[Format, ...] = ("text", "json", "verbose_json")  # which several files may be printed in
DEFAULT_MODEL = "whisper-tiny"


@dataclass(frozen=True)
class TranscribeCommand:
    files: tuple[Path, ...]
    task: SpeechTask
    format: Format
    output: Path | None  # folder; None: standard output


@dataclass(frozen=True)
class SpeechServer:
    url: str
    model: str | None  # None: DEFAULT_MODEL
    api_key: str  # "": none


class TranscriptionFailed(Exception):
    """Of one file; the message is meant for the user."""


Transcribe = Callable[[Path, Bar], Awaitable[bytes]]  # a file -> what is to be printed. Raises TranscriptionFailed, ApiError, OSError


def parse_format(given: str) -> Format:
    """Raises ValueError."""
    if given not in SUFFIXES:
        raise ValueError(f"--format {given}: it is one of {', '.join(SUFFIXES)}")
    return given


def parse_task(language: str | None, prompt: str, *, translate: bool, words: bool) -> SpeechTask:
    """Raises ValueError."""
    code = None if language is None else language_code(language)
    if language is not None and code is None:
        raise ValueError(f"--language {language}: no language that is known here; one is like en or german")
    return SpeechTask(language=code, translate=translate, prompt=prompt, words=words)


def check(command: TranscribeCommand) -> None:
    """Raises ValueError for what does not go together."""
    if command.task.words and command.format != "verbose_json":
        raise ValueError("--words: times of words are told in --format verbose_json alone")
    if command.output is None and len(command.files) > 1 and command.format not in IN_A_ROW:
        raise ValueError(f"--format {command.format} of several files needs --output-dir")
    if command.output is not None:
        targets = [_target(command, file).name for file in command.files]
        if twice := [name for name in targets if targets.count(name) > 1]:
            raise ValueError(f"--output-dir: two files would become {twice[0]}")


def run_transcribe(command: TranscribeCommand, settings: Settings | None, server: SpeechServer) -> int:
    """Settings None: asks `server`. Returns the exit status: 1 if a file failed, 2 if none could be tried, 130 if interrupted."""
    try:
        check(command)
        return asyncio.run(_run(command, settings, server))
    except (ValueError, PullError, httpx.HTTPError, TranscriptionFailed) as error:
        print_error(error)
        return 2
    except KeyboardInterrupt:
        return 130


async def _run(command: TranscribeCommand, settings: Settings | None, server: SpeechServer) -> int:
    from server.cli.transcribe.local import open_local
    from server.cli.transcribe.remote import open_remote

    opened = open_remote(command, server) if settings is None else open_local(command, settings)
    failed = 0
    async with opened as transcribe:
        for file in command.files:
            failed += not await _one(command, transcribe, file)
    return 1 if failed else 0


async def _one(command: TranscribeCommand, transcribe: Transcribe, file: Path) -> bool:
    """Whether it went well."""
    try:
        if not file.is_file():
            raise TranscriptionFailed("is a folder" if file.is_dir() else "there is no such file")
        with progress_bars(file.name) as bar:
            text = await transcribe(file, bar)
        await asyncio.to_thread(_write, command, file, text)
    except (TranscriptionFailed, ApiError, OSError, httpx.HTTPError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
        print_error(f"{file}: {reason.removeprefix('file: ')}")
        return False
    return True


def _write(command: TranscribeCommand, file: Path, text: bytes) -> None:
    if command.output is not None:
        command.output.mkdir(parents=True, exist_ok=True)
        _target(command, file).write_bytes(text)
        return
    if len(command.files) > 1 and command.format == "text":
        text = f"==> {file} <==\n".encode() + text
    sys.stdout.buffer.write(text if text.endswith(b"\n") else text + b"\n")
    sys.stdout.buffer.flush()


def _target(command: TranscribeCommand, file: Path) -> Path:
    return (command.output or Path()) / (file.stem + SUFFIXES[command.format])
