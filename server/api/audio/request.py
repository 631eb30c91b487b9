"""From a form to what is to be heard, and what of it is to be told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import ValidationError

from server.api.audio.form_types import AudioForm, Format, TranscriptionForm, TranslationForm
from server.core.errors import bad_request, from_fields, model_not_found
from server.core.request import RequestWarning
from server.http.multipart import Upload
from server.http.warnings import hint_warnings
from server.runtime.runtime import Runtime
from server.speech.api import LADDER, SpeechTask
from server.speech.languages import language_code
from server.speech.model import SpeechModel

Form = TypeVar("Form", bound=AudioForm)
STREAMED: tuple[Format, ...] = ("json", "text")


@dataclass(frozen=True, kw_only=True)
class AudioRequest:
    model: SpeechModel
    task: SpeechTask
    format: Format
    segments: bool = True  # in verbose_json
    stream: bool = False
    logprobs: bool = False
    warnings: Sequence[RequestWarning] = field(default_factory=tuple[RequestWarning, ...])


def to_transcription(runtime: Runtime, model: SpeechModel, upload: Upload) -> AudioRequest:
    """Raises ApiError for what cannot be honoured."""
    form = _parsed(runtime, model, upload, TranscriptionForm)
    _expect_compatible(form)
    granularities = form.timestamp_granularities or ["segment"]
    words = ", ".join(form.keywords or ())
    prompt = " ".join(part for part in (words, form.prompt) if part)
    return AudioRequest(
        model=model,
        task=_task(form, _one_language(form), prompt, words="word" in granularities),
        format=form.response_format,  # pyright: ignore[reportArgumentType] (another one has been refused)
        segments="segment" in granularities,
        stream=form.stream,
        logprobs=bool(form.include),
        warnings=tuple(hint_warnings(form)),
    )


def to_translation(runtime: Runtime, model: SpeechModel, upload: Upload) -> AudioRequest:
    """Raises ApiError for what cannot be honoured."""
    form = _parsed(runtime, model, upload, TranslationForm)
    return AudioRequest(model=model, task=_task(form, form.language, form.prompt or "", translate=True), format=form.response_format)


def _parsed(runtime: Runtime, model: SpeechModel, upload: Upload, kind: type[Form]) -> Form:
    if upload.filename is None:
        raise bad_request("file", "file: missing; the form must hold a recording of that name", "missing")
    if not upload.size:
        raise bad_request("file", "file: it is empty", "empty_audio")
    try:
        form = kind.model_validate(upload.fields)
    except ValidationError as error:
        raise from_fields(error) from error
    if runtime.real_name(form.model) != model.name:
        raise model_not_found(form.model, [model.name, *_aliases(runtime.aliases, model.name)])
    return form


def _aliases(aliases: Mapping[str, str], name: str) -> list[str]:
    return [alias for alias, real in aliases.items() if real == name]


def _expect_compatible(form: TranscriptionForm) -> None:
    if form.timestamp_granularities and form.response_format != "verbose_json":
        told = "timestamp_granularities: it is told of in verbose_json alone: set response_format to that"
        raise bad_request("timestamp_granularities", told, "unsupported")
    if form.include and form.response_format != "json":
        raise bad_request("include", "include: logprobs are told of in json alone: set response_format to that", "unsupported")
    if form.stream and form.response_format not in STREAMED:
        told = f"response_format: events are plain text; with stream it is {' or '.join(STREAMED)}"
        raise bad_request("response_format", told, "unsupported")


def _one_language(form: TranscriptionForm) -> str | None:
    named = [*({form.language} if form.language else ()), *(form.languages or ())]
    if len({language_code(name) or name for name in named}) > 1:
        told = "languages: this server takes one language, or finds out by itself: leave out languages"
        raise bad_request("languages", told, "unsupported")
    return named[0] if named else None


def _task(form: AudioForm, language: str | None, prompt: str, *, translate: bool = False, words: bool = False) -> SpeechTask:
    code = None if language is None else language_code(language)
    if language is not None and code is None:
        raise bad_request("language", f"language: {language!r} is no language that is known here; one is like en or german")
    temperatures = (form.temperature,) if form.temperature else LADDER
    return SpeechTask(language=code, translate=translate, prompt=prompt, temperatures=temperatures, words=words, seed=form.seed)
