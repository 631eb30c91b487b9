"""`stoa transcribe`: what is printed and written, what is refused, and how it ends. A server with a fake model of speech answers."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.cli.transcribe.command import SpeechServer, TranscribeCommand, check, parse_format, parse_task, run_transcribe
from server.speech.api import SpeechTask
from tests.server.fake_speech import FakeEars, speech
from tests.server.fakes import FakeEngine, ready, says, text
from tests.server.web import serving

TEXT = text()
LINES = "What is the capital of France? The capital of France is Paris."


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Its server is in this process, where handlers of other tests may be left that would write of its requests to standard error."""
    app, _ = ready(FakeEngine(says("Hi.", TEXT)), TEXT, parts={"speech": speech(FakeEars(TEXT))})
    logging.disable()
    try:
        with serving(app) as found:
            yield found
    finally:
        logging.disable(logging.NOTSET)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    (tmp_path / "talk.wav").write_bytes(b"x" * 1500)
    return tmp_path / "talk.wav"


def run(url: str, *files: Path, format: str = "text", output: Path | None = None, **task: Any) -> int:
    command = TranscribeCommand(files, SpeechTask(**task), parse_format(format), output)
    return run_transcribe(command, None, SpeechServer(url, "ears", ""))


def test_the_text_is_printed(url: str, talk: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(url, talk) == 0
    assert capfdbinary.readouterr() == (f"{LINES}\n".encode(), b"")


def test_several_files_one_of_which_is_none(url: str, talk: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    broken = talk.with_name("broken.mp3")
    broken.write_bytes(b"broken")
    assert run(url, talk.with_name("gone.wav"), broken, talk.parent, talk) == 1
    printed, errors = capfdbinary.readouterr()
    assert printed.decode() == f"==> {talk} <==\n{LINES}\n"
    gone, unread, folder = errors.decode().splitlines()
    assert "gone.wav: there is no such file" in gone and "broken.mp3: the file is no audio" in unread and "is a folder" in folder


def test_words_and_translations(url: str, talk: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(url, talk, format="verbose_json", words=True, language="de") == 0
    found = json.loads(capfdbinary.readouterr()[0])
    assert found["language"] == "german" and found["words"][0]["word"] == "What" and len(found["segments"]) == 2
    assert run(url, talk, translate=True) == 0
    assert capfdbinary.readouterr()[0].decode() == f"{LINES.upper()}\n"


def test_files_of_subtitles(url: str, talk: Path) -> None:
    other = talk.with_name("other.wav")
    other.write_bytes(talk.read_bytes())
    assert run(url, talk, other, format="srt", output=talk.parent / "new") == 0
    assert {path.name for path in (talk.parent / "new").iterdir()} == {"talk.srt", "other.srt"}
    assert (talk.parent / "new" / "talk.srt").read_text().startswith("1\n00:00:00,000 --> ")


def test_what_does_not_go_together() -> None:
    one, two = (Path("a.wav"),), (Path("a.wav"), Path("a.mp3"))
    for command, told in (
        (TranscribeCommand(one, SpeechTask(words=True), "text", None), "--words"),
        (TranscribeCommand(two, SpeechTask(), "srt", None), "--output-dir"),
        (TranscribeCommand(two, SpeechTask(), "srt", Path("new")), "a.srt"),
    ):
        with pytest.raises(ValueError, match=told):
            check(command)
    with pytest.raises(ValueError, match="vtt"):
        parse_format("pdf")
    with pytest.raises(ValueError, match="klingon"):
        parse_task("klingon", "", translate=False, words=False)


def test_a_server_that_is_not_there(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("http://127.0.0.1:9", talk) == 1
    assert str(talk) in capsys.readouterr().err


def test_the_command(url: str, talk: Path) -> None:
    command = [sys.executable, "-m", "server.cli", "transcribe", str(talk), "--url", url, "--model", "ears", "--format", "vtt"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:09.500\nWhat is")
    wrong = subprocess.run([*command, "--language", "klingon"], capture_output=True, text=True, timeout=120, check=False)
    assert wrong.returncode == 2 and wrong.stderr.startswith("stoa: --language klingon")
