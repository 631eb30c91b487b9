"""The page in a real browser, against a real server with SmolLM2 and MiniLM. The scenarios are in web/tests/browser."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.npm import NODE
from tests.server.conftest import ROOT, Running, running

SECONDS = 240.0
COMMON = ("chats", "pictures", "uploads", "attached", "citation", "hostile", "approval", "speed")
OTHERS = (
    "pdfPage",
    "stop",
    "transfer",
    "longChat",
    "failure",
    "denial",
    "servers",
    "keyboard",
    "architectures",
    "inspected",
    "operator",
    "accessible",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    subprocess.run([ROOT / "scripts" / "page"], check=True)
    folder = tmp_path_factory.mktemp("page")
    (folder / "files").mkdir()
    (folder / "files" / "notes.md").write_text("# Notes\n\nThe meeting is on Monday.\n")
    models = ("--model", "smollm2", "--model", "picture-questions", "--model", "number-words-mixtral", "--embedding-model", "minilm")
    kept = ("--database-url", str(folder / "stoa.db"), "--mcp-files", str(folder / "files"))
    with running(folder / "log", *models, *kept, patience=300) as started:
        yield started


def run(server: Running, folder: Path, *scenarios: str) -> None:
    """In one browser, each in a profile of its own."""
    command = [str(NODE), "tests/browser/run.mjs", server.url, str(folder), *scenarios]
    environment = {**os.environ, "HOME": str(folder)}
    done = subprocess.run(command, cwd=ROOT / "web", env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\nscreenshots: {folder}"
    print(done.stdout)


def test_what_a_day_holds(server: Running, tmp_path: Path) -> None:
    run(server, tmp_path, *COMMON)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", OTHERS)
def test_the_rest(server: Running, tmp_path: Path, scenario: str) -> None:
    run(server, tmp_path, scenario)
