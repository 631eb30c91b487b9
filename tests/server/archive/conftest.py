"""The archive and its files on both databases, opened as often as there are processes, with a clock that stands until a test moves it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from retrieval.store.api import Store
from retrieval.store.catalog import Catalog
from retrieval.store.postgres.database import Postgres
from retrieval.store.sqlite.database import SQLite
from server.archive.database import DatabaseArchive, open_archive
from tests.retrieval.postgres_server import PostgresServer, postgres_server


@dataclass
class Clock:
    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Process:
    """One process's view of the database."""

    store: Store
    archive: DatabaseArchive


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "stoa.db") if request.param == "sqlite" else request.getfixturevalue("postgres").schema()


@pytest.fixture
def start(where: str, clock: Clock) -> Iterator[Callable[[], Process]]:
    """Opens the database once more, as another process would."""
    opened: list[Store] = []

    def begin() -> Process:
        store = Catalog(Postgres(where, 10**9) if "://" in where else SQLite(Path(where), 10**9), clock)
        opened.append(store)
        return Process(store, open_archive(store.transactions, clock))

    yield begin
    for store in opened:
        store.close()
