"""The databases of the containers, made in a real PostgreSQL: who may enter which."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deploy.make_databases import make_databases
from deploy.make_secrets import make_secrets
from tests.retrieval.postgres_server import PostgresServer, postgres_server


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def made(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> PostgresServer:
    folder = tmp_path_factory.mktemp("secrets")
    make_secrets(folder, Path(folder / "none"))
    for _ in range(2):  # at each start
        make_databases(str(server.folder), 5432, folder)
    return server


def run(server: PostgresServer, role: str, database: str, command: str) -> list[tuple[object, ...]]:
    with psycopg.connect(host=str(server.folder), user=role, dbname=database, autocommit=True) as connection:
        result = connection.execute(command.encode())
        return result.fetchall() if result.description else []


def test_the_server_owns_its_database_and_is_no_superuser(made: PostgresServer) -> None:
    assert run(made, "stoa", "stoa", "SELECT '[1,2]'::vector <-> '[1,3]'") == [(1.0,)]
    run(made, "stoa", "stoa", "CREATE TABLE kept (id int); DROP TABLE kept")
    assert run(made, "stoa", "stoa", "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [(False,)]
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        run(made, "stoa", "work", "SELECT 1")


def test_the_reader_reads_what_the_superuser_made_and_nothing_else(made: PostgresServer) -> None:
    run(made, "postgres", "work", "CREATE TABLE stock (item text); INSERT INTO stock VALUES ('lamp')")
    assert run(made, "reader", "work", "SELECT item FROM stock") == [("lamp",)]
    for forbidden in ("INSERT INTO stock VALUES ('x')", "CREATE TABLE other (id int)", "CREATE TEMPORARY TABLE other (id int)"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run(made, "reader", "work", forbidden)
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        run(made, "reader", "stoa", "SELECT 1")
