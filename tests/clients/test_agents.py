"""Coding agents from npm, unmodified and with all they send, against a real server: they run the command that the model asks for, and
finish their turn with what it wrote. The model is the parrot (tests/clients/parrot), which makes the calls that it is told to."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.clients.environments import AGENTS, node_modules
from tests.clients.parrot.model import parrot
from tests.conformance.npm import NODE
from tests.server.conftest import Running, running

SECONDS = 900.0  # for a turn: they send some 30,000 tokens
KEPT = ("PATH", "LANG", "TMPDIR", "SSL_CERT_FILE")  # of the environment: an agent finds nothing of another one's settings
PROVIDER = {"name": '"Stoa"', "wire_api": '"responses"', "request_max_retries": "0", "stream_max_retries": "0"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def parrot_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("agents")
    options = ("--model", str(parrot(folder / "parrot")), "--embedding-model", "none", "--database-url", str(folder / "stoa.db"))
    with running(folder / "log", *options, patience=300) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder in ("home", "work"):
        (tmp_path / folder).mkdir()
    return tmp_path


def test_codex_runs_a_command(parrot_server: Running, home: Path) -> None:
    events = codex(parrot_server, home, call("exec_command", cmd="echo $((6*7)) > made.txt; cat made.txt"))
    [command] = items(events, "command_execution")
    assert (command["exit_code"], command["aggregated_output"]) == (0, "42\n")
    assert (home / "work" / "made.txt").read_text() == "42\n"
    assert items(events, "agent_message")[-1]["text"].endswith("Output:\n42\n")
    assert events[-1]["type"] == "turn.completed" and events[-1]["usage"]["cached_input_tokens"] > 0


def test_codex_resumes_and_hears_of_a_command_that_failed(parrot_server: Running, home: Path) -> None:
    assert items(codex(parrot_server, home, "Good morning."), "agent_message")[-1]["text"] == "Good morning."
    events = codex(parrot_server, home, call("exec_command", cmd="cat no-such-file"), "resume", "--last")
    [command] = items(events, "command_execution")
    assert command["exit_code"] == 1 and command["status"] == "failed"
    assert "No such file" in items(events, "agent_message")[-1]["text"] and events[-1]["type"] == "turn.completed"


def test_claude_code_runs_a_command_and_continues(parrot_server: Running, home: Path) -> None:
    events = claude(parrot_server, home, call("Bash", command="echo $((6*7)) > made.txt; cat made.txt"))
    assert (events[-1]["subtype"], events[-1]["result"], events[-1]["num_turns"]) == ("success", "42", 2)
    assert (home / "work" / "made.txt").read_text() == "42\n"
    events = claude(parrot_server, home, call("Bash", command="cat no-such-file"), "--continue")
    results = [block for event in events if event["type"] == "user" for block in event["message"]["content"]]
    assert results[-1]["is_error"] and "No such file" in events[-1]["result"]


def call(name: str, **arguments: str) -> str:
    """A prompt for the parrot."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def items(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event["item"] for event in events if event["type"] == "item.completed" and event["item"]["type"] == kind]


def codex(server: Running, home: Path, prompt: str, *command: str) -> list[dict[str, Any]]:
    settings = {"model_provider": '"stoa"', "sandbox_mode": '"danger-full-access"', "model_providers.stoa.base_url": f'"{server.url}/v1"'}
    settings |= {f"model_providers.stoa.{name}": value for name, value in PROVIDER.items()}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    script = "@openai/codex/bin/codex.js"
    return _run(home, script, ["exec", *command, "--json", "--skip-git-repo-check", *options, "-m", "parrot", prompt], {})


def claude(server: Running, home: Path, prompt: str, *options: str) -> list[dict[str, Any]]:
    words = ["-p", prompt, *options, "--model", "parrot", "--allowedTools", "Bash", "--output-format", "stream-json", "--verbose"]
    address = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "unused", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
    return _run(home, "@anthropic-ai/claude-code/cli-wrapper.cjs", words, address)


def _run(home: Path, script: str, words: list[str], variables: Mapping[str, str]) -> list[dict[str, Any]]:
    """The events that the agent prints, one JSON object a line."""
    command = [str(NODE), str(node_modules("agents", *AGENTS) / "node_modules" / script), *words]
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    done = subprocess.run(
        command,
        env={**kept, **variables, "HOME": str(home / "home")},
        cwd=home / "work",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert events and done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    return events
