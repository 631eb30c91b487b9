"""Connection to the PostgreSQL server."""

import json
from typing import Any

import psycopg
from psycopg.adapt import Dumper
from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from retrieval.api import KnowledgeError

CONNECT_TIMEOUT = 10  # seconds to wait for a connection
KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}  # seconds, seconds, probes: a dead network is noticed
UNACKNOWLEDGED_MS = 20_000  # milliseconds after which data that the server's machine has not acknowledged ends the connection
MAX_CONNECTIONS = 20  # per process


def open_engine(url: URL) -> Engine:
    """Connects lazily. Prepared statements are off: the best plan depends on the store, and poolers such as PgBouncer do not
    support them."""
    known = {
        "application_name": "stoa",
        "connect_timeout": CONNECT_TIMEOUT,
        "tcp_user_timeout": UNACKNOWLEDGED_MS,
        "prepare_threshold": None,
        **KEEPALIVE,
    }
    engine = create_engine(
        url,
        connect_args={name: value for name, value in known.items() if name not in url.query},
        json_serializer=lambda value: json.dumps(_clean(value)),
        max_overflow=MAX_CONNECTIONS - 5,
        pool_pre_ping=True,
        hide_parameters=True,  # in errors: parameters contain document text
    )
    event.listen(engine, "connect", _register_text_dumper)
    return engine


def parse_url(text: str) -> URL:
    """Accepts postgres://, postgresql:// or postgresql+psycopg://; a password option moves to the userinfo, which is masked."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise KnowledgeError("the database URL cannot be read; it is like postgresql://user:password@host/name") from None
    if url.drivername not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise KnowledgeError(f"a database of the kind {url.drivername!r} is not supported; give a postgresql:// URL")
    given = url.query.get("password")
    password = given if isinstance(given, str) else url.password
    return url.difference_update_query(["password"]).set(drivername="postgresql+psycopg", password=password)


class _Text(Dumper):
    """PostgreSQL text cannot hold NUL or lone surrogates, which occur in SQLite and JSON strings."""

    def dump(self, obj: str) -> bytes:
        return _clean(obj).encode()


def _clean(value: Any) -> Any:
    match value:
        case str():
            return value if value.isascii() and "\0" not in value else _valid(value)
        case dict():
            return {_clean(key): _clean(item) for key, item in value.items()}
        case list() | tuple():
            return [_clean(item) for item in value]
        case _:
            return value


def _valid(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _register_text_dumper(connection: psycopg.Connection, _record: object) -> None:
    connection.adapters.register_dumper(str, _Text)
