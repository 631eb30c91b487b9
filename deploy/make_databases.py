"""Makes the databases and roles of docker-compose.yml, once PostgreSQL answers; run again, it changes nothing that is there.

`stoa` holds what the server keeps, and belongs to its role. `work` is for tables of your own: the role `reader`, as which the MCP tools
for databases connect, may read them, and may not enter the other."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg import sql

SECRETS = Path("/secrets")
PATIENCE = 120.0  # seconds: at its first start PostgreSQL makes its files
ROLES = ("stoa", "reader")
DATABASES = {"stoa": "stoa", "work": "postgres"}  # each with its owner
RIGHTS = (
    ("stoa", "CREATE EXTENSION IF NOT EXISTS vector; ALTER EXTENSION vector UPDATE; REVOKE CONNECT ON DATABASE stoa FROM PUBLIC"),
    ("work", "REVOKE ALL ON DATABASE work FROM PUBLIC; GRANT CONNECT ON DATABASE work TO reader; GRANT pg_read_all_data TO reader"),
)

Connection = psycopg.Connection[tuple[object, ...]]


def make_databases(host: str, port: int, folder: Path) -> None:
    """`folder`: has admin/postgres_password and server/pgpass. Raises psycopg.Error and OSError."""
    password = (folder / "admin/postgres_password").read_text(encoding="utf-8").strip()
    lines = (folder / "server/pgpass").read_text(encoding="utf-8").split()
    passwords = dict(line.split(":")[3:5] for line in lines)

    def connect(database: str) -> Connection:
        return psycopg.connect(
            host=host, port=port, user="postgres", password=password, dbname=database, connect_timeout=5, autocommit=True
        )

    with _patiently(lambda: connect("postgres")) as connection:
        for role in ROLES:
            _make_role(connection, role, passwords[role])
        for database, owner in DATABASES.items():
            _make_database(connection, database, owner)
    for database, rights in RIGHTS:
        with connect(database) as connection:
            connection.execute(rights.encode())


def _make_role(connection: Connection, name: str, password: str) -> None:
    known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).fetchone() is not None
    statement = sql.SQL("{verb} ROLE {name} LOGIN PASSWORD {password}")
    verb = sql.SQL("ALTER" if known else "CREATE")
    connection.execute(statement.format(verb=verb, name=sql.Identifier(name), password=sql.Literal(password)))


def _make_database(connection: Connection, name: str, owner: str) -> None:
    if connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name), sql.Identifier(owner))
        )


def _patiently(connect: Callable[[], Connection]) -> Connection:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return connect()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.5)


if __name__ == "__main__":
    try:
        make_databases("postgres", 5432, SECRETS)
    except (psycopg.Error, OSError) as error:
        sys.exit(f"the databases could not be made: {error}")
    print("the databases are there")
