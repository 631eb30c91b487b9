"""/v1/audio/transcriptions and /v1/audio/translations: what is asked, what comes back, what is refused."""

import asyncio
import json
import math
from typing import Any

import httpx
import openai
import pytest
from starlette.applications import Starlette

from server.http.warnings import WARNINGS_HEADER
from server.runtime.state import ServerState
from server.speech.api import LADDER, SpeechTask
from tests.server.fake_speech import FakeDecoder, FakeEars, FakeSpeechEngine, speech
from tests.server.fakes import FakeEngine, ask, client, ready, says, text
from tests.server.web import serving

TEXT = text()
TRANSCRIBE, TRANSLATE = "/v1/audio/transcriptions", "/v1/audio/translations"
RECORDING = b"x" * 2450  # 24.5 seconds, three lines
LINES = "What is the capital of France? The capital of France is Paris. Hello, world"


def world(pause: float = 0.0, **settings: Any) -> tuple[Starlette, ServerState, FakeEars]:
    ears = FakeEars(TEXT, pause)
    app, state = ready(FakeEngine(says("Hi.", TEXT)), TEXT, parts={"speech": speech(ears)}, **settings)
    return app, state, ears


def send(path: str = TRANSCRIBE, /, **fields: Any) -> httpx.Response:
    """The form's text fields, and `content` of its file; `app`: another one than a new world's. Fields that are None are left out."""
    app, content = fields.pop("app", None) or world()[0], fields.pop("content", RECORDING)
    given = {name: value for name, value in {"model": "ears", **fields}.items() if value is not None}
    return ask(app, "POST", path, data=given, files={"file": ("talk.wav", content)})


def events(answer: httpx.Response) -> list[Any]:
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n") if line.startswith("data: ")]


def test_text_with_the_duration_that_was_used() -> None:
    assert send().json() == {"text": LINES, "usage": {"type": "duration", "seconds": 25}}


def test_everything_about_segments_and_words() -> None:
    answer = send(response_format="verbose_json", **{"timestamp_granularities[]": ["word", "segment"]}).json()
    assert (answer["task"], answer["language"], answer["duration"], answer["text"]) == ("transcribe", "english", 24.5, LINES)
    assert [segment["seek"] for segment in answer["segments"]] == [0, 0, 0]
    assert [(segment["start"], segment["end"]) for segment in answer["segments"]] == [(0.0, 9.5), (10.0, 19.5), (20.0, 29.5)]
    assert answer["words"][:2] == [{"word": "What", "start": 0.0, "end": 0.5}, {"word": "is", "start": 1.0, "end": 1.5}]
    assert len(answer["words"]) == len(LINES.split())


@pytest.mark.parametrize(("wanted", "found"), [(None, {"segments"}), ("segment", {"segments"}), ("word", {"words"})])
def test_what_is_not_asked_for_is_not_told(wanted: str | None, found: set[str]) -> None:
    answer = send(response_format="verbose_json", timestamp_granularities=wanted).json()
    assert {"segments", "words"} & answer.keys() == found


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("text", f"{LINES}\n"),
        ("srt", "1\n00:00:00,000 --> 00:00:09,500\nWhat is the capital of France?\n\n2\n00:00:10,000 --> 00:00:19,500\nThe"),
        ("vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:09.500\nWhat is the capital of France?\n\n00:00:10.000 --> 00:00:19.500\nThe"),
    ],
)
def test_plain_formats(wanted: str, expected: str) -> None:
    answer = send(response_format=wanted)
    assert answer.text.startswith(expected) and answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_events() -> None:
    *deltas, done = events(send(stream="true"))
    assert [delta["type"] for delta in deltas] == ["transcript.text.delta"] * 3
    assert "".join(delta["delta"] for delta in deltas) == done["text"] == LINES and done["type"] == "transcript.text.done"
    usage = done["usage"]
    assert usage["type"] == "tokens" and usage["input_token_details"] == {"text_tokens": 0, "audio_tokens": 1225}
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] and usage["output_tokens"] > 3


def test_silence_is_an_answer_without_words() -> None:
    app, _ = ready(FakeEngine(says("Hi.", TEXT)), TEXT, parts={"speech": speech(FakeEars(TEXT, lines=()))})
    assert send(app=app).json() == {"text": "", "usage": {"type": "duration", "seconds": 25}}
    assert [event["type"] for event in events(send(app=app, stream="true"))] == ["transcript.text.done"]
    assert send(app=app, response_format="vtt").text.strip() == "WEBVTT"


def test_probabilities_are_those_of_the_tokens_of_the_text() -> None:
    found = send(**{"include[]": "logprobs"}).json()["logprobs"]
    assert bytes(byte for entry in found for byte in entry["bytes"]).decode().strip() == LINES
    assert all(entry["logprob"] == math.log(0.5) for entry in found)
    *deltas, done = events(send(stream="true", include="logprobs"))
    assert [entry for delta in deltas for entry in delta["logprobs"]] == done["logprobs"] == found


def test_what_the_task_becomes() -> None:
    app, _, ears = world()
    send(app=app)
    send(app=app, language="German", prompt="Stoa.", temperature="0.4", seed="7", **{"keywords[]": ["Zeno", "Kition"]})
    send(app=app, languages=["en-US"], response_format="verbose_json", timestamp_granularities="word")
    send(TRANSLATE, app=app, prompt="Stoa.", language="de")
    assert ears.tasks == [
        SpeechTask(temperatures=LADDER),
        SpeechTask(language="de", prompt="Zeno, Kition Stoa.", temperatures=(0.4,), seed=7),
        SpeechTask(language="en", words=True),
        SpeechTask(language="de", translate=True, prompt="Stoa."),
    ]


def test_a_translation_is_english() -> None:
    answer = send(TRANSLATE, response_format="verbose_json", language="de").json()
    assert (answer["task"], answer["language"], answer["text"]) == ("translate", "english", LINES.upper())


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({"response_format": "diarized_json"}, "response_format", "only supports"),
        ({"response_format": "xml"}, "response_format", "'srt'"),
        ({"timestamp_granularities": "word"}, "timestamp_granularities", "verbose_json"),
        ({"timestamp_granularities": "line", "response_format": "verbose_json"}, "timestamp_granularities", "'segment'"),
        ({"include": "logprobs", "response_format": "text"}, "include", "json"),
        ({"include": "x"}, "include", "'logprobs'"),
        ({"stream": "true", "response_format": "srt"}, "response_format", "json or text"),
        ({"temperature": "1.5"}, "temperature", "less than or equal to 1"),
        ({"temperature": "nan"}, "temperature", "finite"),
        ({"language": "klingon"}, "language", "klingon"),
        ({"language": "la"}, "language", "does not know"),
        ({"languages": ["de", "en"]}, "languages", "one language"),
        ({"chunking_strategy": "server_vad"}, "chunking_strategy", "'auto'"),
        ({"chunking_strategy[type]": "server_vad"}, "chunking_strategy[type]", "leave it out"),
        ({"known_speaker_names[]": "agent"}, "known_speaker_names", "leave it out"),
        ({"model": None}, "model", "required"),
        ({"nonsense": "1"}, "nonsense", "not permitted"),
        ({"model": "whisper-1"}, "model", "there is ears"),
    ],
)
def test_what_is_refused_is_named(fields: dict[str, Any], param: str, told: str) -> None:
    answer = send(**fields)
    error = answer.json()["error"]
    assert answer.status_code == (404 if error["code"] == "model_not_found" else 400)
    assert error["param"] == param and told in error["message"]


def test_translations_have_neither_streams_nor_words() -> None:
    for name, value in {"stream": "true", "timestamp_granularities": "word", "include": "logprobs"}.items():
        answer = send(TRANSLATE, **{name: value})
        assert answer.status_code == 400 and answer.json()["error"]["param"] == name


def test_a_hint_is_taken_and_named() -> None:
    answer = send(chunking_strategy="auto")
    assert answer.headers[WARNINGS_HEADER] == "chunking_strategy"
    assert [warning["param"] for warning in answer.json()["warnings"]] == ["chunking_strategy"]


def test_files_that_are_no_recordings() -> None:
    app, _, _ = world(max_audio_bytes=5000)
    for content, status, code in ((b"", 400, "empty_audio"), (b"broken", 400, "unsupported_format"), (b"x" * 5001, 413, "file_too_large")):
        answer = send(app=app, content=content)
        assert (answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["param"]) == (status, code, "file")
    assert "wav, mp3, flac" in send(content=b"broken").text
    missing = ask(app, "POST", TRANSCRIBE, data={"model": "ears"}, files={"other": ("a", b"x")})
    assert missing.status_code == 400 and missing.json()["error"]["param"] == "file"
    assert ask(app, "POST", TRANSCRIBE, json={"model": "ears"}).status_code == 415


def test_too_long() -> None:
    model = speech(FakeEars(TEXT), decoder=FakeDecoder(longest=10))
    app, _ = ready(FakeEngine(says("Hi.", TEXT)), TEXT, parts={"speech": model})
    error = send(app=app).json()["error"]
    assert error["code"] == "audio_too_long" and error["message"] == "file: the recording is longer than 10 seconds"


def test_without_a_model_the_setting_is_named() -> None:
    app, _ = ready(FakeEngine(says("Hi.", TEXT)), TEXT)
    answer = send(app=app)
    assert answer.status_code == 400 and "--transcription-model" in answer.json()["error"]["message"]


def test_an_alias_names_it_and_models_list_it() -> None:
    parts = {"speech": speech(FakeEars(TEXT)), "aliases": {"whisper-1": "ears"}}
    app, _ = ready(FakeEngine(says("Hi.", TEXT)), TEXT, parts=parts)
    assert send(app=app, model="whisper-1").status_code == 200
    assert [model["id"] for model in ask(app, "GET", "/v1/models").json()["data"]] == ["tiny", "ears", "whisper-1"]
    assert ask(app, "GET", "/v1/models/ears").json()["max_model_len"] == 448


def test_what_is_heard_belongs_to_the_key_and_is_measured() -> None:
    engine = FakeSpeechEngine()
    app, state = ready(
        FakeEngine(says("Hi.", TEXT)), TEXT, parts={"speech": speech(FakeEars(TEXT), engine)}, api_keys=("one",), host="0.0.0.0"
    )
    form: Any = {"data": {"model": "ears"}, "files": {"file": ("a", RECORDING)}}
    assert ask(app, "POST", TRANSCRIBE, **form).status_code == 401
    assert ask(app, "POST", TRANSCRIBE, **form, headers={"authorization": "Bearer one"}).status_code == 200
    assert [len(request.owner) for request in engine.requests] == [64]
    page = state.metrics.exposition().decode()
    assert "stoa_audio_seconds_total 24.5" in page and 'stoa_requests_running{model="ears"} 1.0' in page
    assert f'stoa_requests_total{{route="{TRANSCRIBE}",status="200"}} 1.0' in page


def test_a_page_of_another_origin_may_not_send_a_form() -> None:
    answer = ask(
        world()[0], "POST", TRANSCRIBE, data={"model": "ears"}, files={"file": ("a", b"x")}, headers={"origin": "https://a.example"}
    )
    assert answer.status_code == 403


def test_who_goes_away_is_not_listened_to_any_longer() -> None:
    ears, decoder = FakeEars(TEXT, pause=0.2), FakeDecoder(longest=10_000)
    app, _ = ready(FakeEngine(says("Hi.", TEXT)), TEXT, parts={"speech": speech(ears, decoder=decoder)})

    async def scene(url: str) -> None:
        async with httpx.AsyncClient(base_url=url) as http:
            sending = http.post(TRANSCRIBE, data={"model": "ears"}, files={"file": ("a", b"x" * 100_000)})
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(sending, 1.0)
        async with asyncio.timeout(20):
            while not ears.aborts:
                await asyncio.sleep(0.02)

    with serving(app) as url:
        asyncio.run(scene(url))
    assert len(ears.tasks) == ears.aborts == 1 and decoder.opened == 0


def test_streams_begin_before_they_end() -> None:
    app, _, _ = world(pause=0.05)

    async def scene() -> list[str]:
        async with client(app) as http:
            answer = await http.post(TRANSCRIBE, data={"model": "ears", "stream": "true"}, files={"file": ("a", RECORDING)})
            return [line async for line in answer.aiter_lines() if line]

    assert len(asyncio.run(scene())) == 4


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # of translations, in newer clients
def test_the_official_client() -> None:
    app, _, _ = world()
    with serving(app) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as sdk:
        audio = sdk.audio
        file = ("talk.wav", RECORDING)
        assert audio.transcriptions.create(model="ears", file=file).text == LINES
        verbose = audio.transcriptions.create(
            model="ears", file=file, response_format="verbose_json", timestamp_granularities=["word", "segment"]
        )
        assert verbose.words is not None and verbose.words[0].word == "What" and verbose.segments is not None
        assert audio.transcriptions.create(model="ears", file=file, response_format="srt").startswith("1\n00:00:00,000 -->")
        streamed = list(audio.transcriptions.create(model="ears", file=file, stream=True, include=["logprobs"]))
        assert [event.type for event in streamed] == ["transcript.text.delta"] * 3 + ["transcript.text.done"]
        assert audio.translations.create(model="ears", file=file).text == LINES.upper()
        with pytest.raises(openai.BadRequestError, match="leave it out"):
            audio.transcriptions.create(model="ears", file=file, chunking_strategy={"type": "server_vad"})
