"""The same small shop in each kind of database, as an almighty account sees it, one that may only read, and the owner of the tables."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import psycopg
from mcp import Client
from mcp.server.mcpserver import MCPServer
from mcp.types import CallToolResult

from mcp_servers.database import server
from mcp_servers.sql.api import Limits
from mcp_servers.sql.source import Source, parse_source
from tests.mcp_servers.mariadb_server import mariadb_server
from tests.retrieval.postgres_server import postgres_server

PASSWORD = "p@ss:w0rd/"
SECRET = "the secret in the file"
KINDS = ("sqlite", "postgres", "postgres-reader", "postgres-writer", "mariadb", "mariadb-reader")
TABLES = (
    "CREATE TABLE users (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL, born DATE)",
    """CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, total NUMERIC(8, 2) DEFAULT 0,
        FOREIGN KEY (user_id) REFERENCES users (id))""",
    "CREATE INDEX by_user ON orders (user_id)",
    "CREATE VIEW adults AS SELECT id, name FROM users WHERE born < '2008-01-01'",
    "INSERT INTO users VALUES (1, 'Ann', '2000-02-01'), (2, 'Bob', NULL), (3, 'Çelik ''x''', '2015-12-31')",
    "INSERT INTO orders VALUES (10, 1, 9.50), (11, 1, 0.10), (12, 2, 100)",
)
STATE = (
    "SELECT count(*), sum(id), min(name) FROM users",
    "SELECT count(*), sum(id), sum(total) FROM orders",
)


@dataclass(frozen=True)
class Shop:
    kind: str
    source: Source
    files: Path  # a folder that the database's process may write to
    state: Callable[[], object]  # what no attack may change
    servers: dict[tuple[Limits, bool], MCPServer[Any]] = field(default_factory=dict)

    @property
    def family(self) -> str:
        return self.kind.partition("-")[0]

    def call(self, tool: str, limits: Limits | None = None, write: bool = False, **arguments: Any) -> CallToolResult:
        key = (limits or Limits(seconds=60), write)
        offered = self.servers.get(key) or self.servers.setdefault(key, server([self.source], key[0], write=write))

        async def called() -> CallToolResult:
            async with Client(offered) as client:
                return await client.call_tool(tool, arguments)

        return anyio.run(called)


@contextmanager
def shops(folder: Path) -> Iterator[dict[str, Shop]]:
    with postgres_server() as postgres, mariadb_server() as mariadb:
        found = [_sqlite(folder), *_postgres(postgres), *_mariadb(mariadb)]
        yield {shop.kind: shop for shop in found}


def _sqlite(folder: Path) -> Shop:
    path = folder / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        for statement in (*TABLES, "CREATE VIRTUAL TABLE notes USING fts5(text)", "INSERT INTO notes VALUES ('a lost umbrella')"):
            connection.execute(statement)
        connection.commit()
    return Shop("sqlite", parse_source(str(path)), folder, lambda: (path.read_bytes(), _files(folder)))


def _postgres(server: Any) -> Iterator[Shop]:
    url = server.database()
    functions = (
        "CREATE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1'",
        "CREATE FUNCTION danger(users) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION \"Risky\"(users) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SEQUENCE numbers",
        "COMMENT ON TABLE users IS 'People who buy'",
        f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
        f"CREATE ROLE writer LOGIN PASSWORD '{PASSWORD}'",
        "GRANT USAGE, CREATE ON SCHEMA public TO writer",
        *(f"ALTER TABLE {name} OWNER TO writer" for name in ("users", "orders", "adults", "numbers")),
    )
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (*TABLES, *functions):
            connection.execute(statement.encode())

    def state() -> object:
        locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        more = (
            "SELECT relname FROM pg_class WHERE relnamespace >= 16384 OR relnamespace = 2200 ORDER BY 1",
            "SELECT rolname FROM pg_roles",
            locks,
        )
        with psycopg.connect(url, autocommit=True) as connection:
            last = "SELECT last_value, is_called FROM numbers"
            return [connection.execute(query.encode()).fetchall() for query in (*STATE, *more, last)], _files(server.folder)

    (server.folder / "secret").write_text(SECRET)
    (server.folder / "secret").chmod(0o644)
    yield Shop("postgres", parse_source(f"postgres={url}"), server.folder, state)
    for role in ("reader", "writer"):
        own = url.replace("postgres@", f"{role}:{PASSWORD.replace('@', '%40').replace('/', '%2F')}@", 1)
        yield Shop(f"postgres-{role}", parse_source(f"{role}={own}"), server.folder, state)


def _mariadb(server: Any) -> Iterator[Shop]:
    name = server.database()
    server.run(
        *TABLES,
        "CREATE FUNCTION wipe() RETURNS int MODIFIES SQL DATA BEGIN DELETE FROM orders; RETURN 1; END",
        "CREATE SEQUENCE numbers",
        "ALTER TABLE users COMMENT 'People who buy'",
        f"CREATE USER reader IDENTIFIED BY '{PASSWORD}'",
        f"GRANT SELECT, EXECUTE ON {name}.* TO reader",
        database=name,
    )

    def state() -> object:
        more = "SELECT table_name FROM information_schema.tables WHERE table_schema IN (database(), 'mysql') ORDER BY 1"
        sequence = "SELECT next_not_cached_value FROM numbers"
        users = "SELECT user FROM mysql.user"
        return [server.run(query, database=name) for query in (*STATE, more, sequence, users)], _files(server.folder)

    (server.folder / "secret").write_text(SECRET)
    yield Shop("mariadb", parse_source(f"mariadb={server.url(database=name)}"), server.folder, state)
    password = PASSWORD.replace("@", "%40").replace("/", "%2F")
    yield Shop("mariadb-reader", parse_source(f"reader={server.url('reader', name, password)}"), server.folder, state)


def _files(folder: Path) -> list[str]:
    """Of ours and of what was written beside them: not what the servers keep for themselves."""
    return sorted(path.name for path in folder.iterdir() if path.name not in ("data", "log", "installed", "socket", "pid"))


def text(result: CallToolResult) -> str:
    return "".join(getattr(block, "text", "") for block in result.content)
