"""Stores on both databases, with a clock that stands until a test moves it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from retrieval.store.api import Store
from retrieval.store.catalog import Catalog
from retrieval.store.postgres.database import Postgres
from retrieval.store.sqlite.database import SQLite
from tests.retrieval.postgres_server import PostgresServer, postgres_server


@dataclass
class Clock:
    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database, as `open_store` takes it."""
    if request.param == "sqlite":
        return str(tmp_path / "stoa.db")
    return request.getfixturevalue("postgres").schema()


@pytest.fixture
def opener(where: str, clock: Clock) -> Iterator[Callable[[], Store]]:
    """Opens the database once more, as another process would."""
    opened: list[Catalog] = []

    def open_again() -> Store:
        dialect = Postgres(where, 10**9) if "://" in where else SQLite(Path(where), 10**9)
        opened.append(Catalog(dialect, clock))
        return opened[-1]

    yield open_again
    for store in opened:
        store.close()


@pytest.fixture
def store(opener: Callable[[], Store]) -> Store:
    return opener()
