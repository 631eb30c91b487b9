"""Two servers as processes, with one PostgreSQL, and nginx before them where `--all` is given."""

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
from tests.server.conftest import Running, running

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


def metric(server: Running, name: str) -> float:
    """The sum of a measurement over its labels."""
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith((f"stoa_{name} ", f"stoa_{name}{{")))


def until(found: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What `found` returns once it is true."""
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, f"{found} was not true for {seconds} seconds"
        time.sleep(0.05)
    return result
