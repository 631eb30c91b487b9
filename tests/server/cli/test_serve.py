"""`stoa serve` and `stoa pull` with options that cannot work: one sentence, at once, and status 2."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from server.cli import errors
from server.cli.main import cli
from server.runtime.settings import Settings
from server.runtime.state import ServerState
from server.weights import pull
from server.weights.cache import PullError
from tests.server.conftest import ROOT


@pytest.fixture(autouse=True)
def ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(status: int) -> None:
        raise SystemExit(status)

    monkeypatch.setattr(errors, "end_at_once", end)
    monkeypatch.setattr("server.cli.main.end_at_once", end)


def serve(*options: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["serve", "--port", "0", *options])
    assert not isinstance(done.exception, Exception) or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stderr.strip()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model", "wrong"), "not in the catalog (smollm2, "),
        (("--model", "/no/such/place"), "--model: /no/such/place does not exist"),
        (("--model", "wheel:"), "expected wheel:NAME"),
        (("--embedding-model", "wrong"), "--embedding-model: no model 'wrong'"),
        (("--rerank-model", "wrong"), "--rerank-model: no model 'wrong'"),
        (("--host", "no.such.host.invalid", "--api-key", "k"), "--host no.such.host.invalid"),
        (("--host", "203.0.113.7", "--api-key", "k"), "cannot listen there"),
        (("--port", "99999"), "port: "),
        (("--context", "0"), "context: "),
        (("--context", "many"), "context: "),
        (("--api-key", ""), "an API key is empty"),
        (("--api-key", "sha256:1"), "64 lower-case"),
        (("--api-key-file", "/no/such/file"), "/no/such/file cannot be read"),
        (("--drain-seconds", "nan"), "drain_seconds: "),
        (("--cors-origin", "nonsense"), "'nonsense' is no origin"),
        (("--quantize", "int3"), "quantize: "),
        (("--device", "tpu"), "device: "),
        (("--threads", "-1"), "threads: "),
        (("--log-level", "loud"), "log_level: "),
    ],
)
def test_one_sentence(options: tuple[str, ...], said: str) -> None:
    status, shown = serve(*options)
    assert status == 2 and said in shown and len(shown.splitlines()) == 1 and shown.startswith("stoa: "), shown


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        status, shown = serve("--port", port)
    assert status == 2 and f"--port {port}: cannot listen there" in shown and len(shown.splitlines()) == 1


def test_keys_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# of the team\nfirst\n\n  second  \n")
    both = Settings(api_key_file=file, api_keys=("third",))
    assert both.api_keys == Settings(api_keys=("third", "first", "second")).api_keys
    file.write_text("# nobody\n")
    with pytest.raises(ValueError, match="holds no key"):
        Settings(api_key_file=file)


def test_what_is_found_out_while_loading() -> None:
    """A number that only the model's own limits refuse is a mistake in the options; a lack of memory is none."""
    for error, misconfigured in ((ValueError("context = 999999999 must lie between"), True), (MemoryError("no"), False)):
        state = ServerState(Settings())
        state._failed(error)
        assert (state.misconfigured, "context" in (state.load_error or "")) == (misconfigured, misconfigured)


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no route to host\nand ninety-nine more lines")

    monkeypatch.setattr(huggingface_hub, "list_repo_files", unreachable)
    with pytest.raises(PullError, match=r"org/name could not be fetched from the model hub: no route to host$"):
        pull.pull("org/name")
    done = CliRunner().invoke(cli, ["pull", "org/name"])
    assert done.exit_code == 2 and len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_context_that_no_model_has(smollm2: str) -> None:
    command = [sys.executable, "-m", "server.cli", "serve", "--port", "0", "--model", smollm2, "--context", "999999999"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2 and "context = 999999999 must lie between" in ended.stderr
    assert "terminate called" not in ended.stderr and "Traceback" not in ended.stderr
