"""Clients of other people, unmodified, against a real server with SmolLM2: each of their calls works. docs/clients.md has the table."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.clients.environments import NODE_PACKAGES, OLDER_PACKAGES, PYTHON_PACKAGES, node_modules, python
from tests.conformance.npm import NODE, environment
from tests.server.conftest import Running

HERE = Path(__file__).parent
SECONDS = 900.0  # for all calls of one client
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("client", ["openai", "openai_long", "anthropic", "ollama", "langchain", "frameworks"])
def test_python(served: Running, client: str) -> None:
    _expect_no_errors_of(python("python", *PYTHON_PACKAGES), client, served)


@pytest.mark.parametrize("client", ["openai", "older"])
def test_older_python(served: Running, client: str) -> None:
    _expect_no_errors_of(python("older", *OLDER_PACKAGES), client, served)


def test_javascript(served: Running, tmp_path: Path) -> None:
    folder = node_modules("node", *NODE_PACKAGES)
    script = folder / "ai_sdk_calls.mjs"  # modules are looked for beside it
    script.write_text((HERE / "node" / "ai_sdk_calls.mjs").read_text())
    expect_no_errors([str(NODE), str(script)], {**environment(), "STOA_URL": served.url})


def _expect_no_errors_of(interpreter: Path, client: str, server: Running) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    expect_no_errors([str(interpreter), str(HERE / "python" / f"{client}_calls.py")], {**variables, "STOA_URL": server.url})


def expect_no_errors(command: list[str], variables: dict[str, str]) -> None:
    """Of calls that `command` prints (python/calls.py)."""
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=SECONDS)
    calls = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"call"')]
    assert calls and done.returncode == 0, done.stderr[-2000:]
    assert not (failed := [call for call in calls if call["error"]]), failed
