"""Two servers as processes, with one PostgreSQL, and nginx before them where `--all` is given."""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.retrieval.postgres_server import PostgresServer, postgres_server
from tests.server.conftest import ROOT, Running, free_port, running

MAIN = """
{person} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/stoa.conf;
}}
"""
PATIENCE = 60.0  # seconds that anything may take here that has no limit of its own


@dataclass
class Replicas:
    """Tests kill some; `two` are there for each."""

    postgres: PostgresServer
    folder: Path
    stack: ExitStack
    begun: list[Running] = field(default_factory=list[Running])

    def start(self, count: int = 1, port: int | None = None) -> list[Running]:
        """So many more, at once; one on `port`."""
        with ThreadPoolExecutor(count) as pool:
            started = list(pool.map(lambda number: self._begin(len(self.begun) + number, port), range(count)))
        self.begun += started
        return started

    def two(self) -> tuple[Running, Running]:
        alive = [server for server in self.begun if server.process.poll() is None]
        if missing := 2 - len(alive):
            alive += self.start(missing)
        return alive[0], alive[1]

    def _begin(self, number: int, port: int | None) -> Running:
        options = ("--database-url", self.postgres.url(), "--threads", "1", "--max-running", "8", "--drain-seconds", "5")
        return self.stack.enter_context(running(self.folder / f"replica-{number}.log", *options, patience=300, port=port))


@contextmanager
def replicas_of(postgres: PostgresServer, folder: Path) -> Iterator[Replicas]:
    with ExitStack() as stack:
        yield Replicas(postgres, folder, stack)


@pytest.fixture(scope="package")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server({"synchronous_commit": "on"}) as server:
        yield server


@pytest.fixture(scope="package")
def replicas(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory, smollm2: str, minilm: str) -> Iterator[Replicas]:
    with replicas_of(postgres, tmp_path_factory.mktemp("replicas")) as found:
        yield found


@contextmanager
def nginx(urls: list[str]) -> Iterator[str]:
    """deploy/nginx.conf as it is, but for the addresses and the port. Yields its URL."""
    port, text = free_port(), (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    servers = "\n".join(f"    server {url.removeprefix('http://')} max_fails=1 fail_timeout=2s;" for url in urls)
    text = re.sub(r"(    server 127[^\n]*\n)+", f"{servers}\n", text, count=1).replace("listen 80;", f"listen 127.0.0.1:{port};")
    with tempfile.TemporaryDirectory(prefix="nginx") as name:
        folder, person = Path(name), "user root root;" if os.geteuid() == 0 else ""  # else its workers could not write there
        (folder / "stoa.conf").write_text(text, encoding="utf-8")
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder, person=person), encoding="utf-8")
        command = ["/usr/sbin/nginx", "-e", str(folder / "errors"), "-c", str(folder / "nginx.conf")]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                until(lambda: _answers(f"http://127.0.0.1:{port}/health"))
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


def metric(server: Running, name: str) -> float:
    """The sum of a measurement over its labels."""
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith((f"stoa_{name} ", f"stoa_{name}{{")))


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def until(found: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What `found` returns once it is true."""
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, f"{found} was not true for {seconds} seconds"
        time.sleep(0.05)
    return result
