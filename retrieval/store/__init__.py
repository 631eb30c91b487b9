"""Storage of documents, their chunks and the indexes over them."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from retrieval.api import KnowledgeError
from retrieval.store.api import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """`hnsw_above`: number of chunks in one store above which vector search uses an HNSW graph instead of exact search."""

    hnsw_above: int = 300_000


def open_store(where: str | Path, options: StoreOptions) -> Store:
    """`where`: path of a SQLite file (created with its folder if missing) or URL of a PostgreSQL database. Raises
    KnowledgeError: unreachable, written by a newer version, or not a database."""
    if isinstance(where, Path) or "://" not in where:
        return _sqlite(Path(where), options)
    try:
        url = make_url(where)
    except (ArgumentError, ValueError):  # ValueError: the port is not a number
        raise KnowledgeError("the database URL cannot be read; it is like postgresql://user:password@host/name") from None
    match url.get_backend_name():
        case "sqlite" if url.database:
            return _sqlite(Path(url.database), options)
        case "postgresql" | "postgres":
            return _postgres(where, options)
        case name:
            raise KnowledgeError(f"a database of the kind {name!r} is not supported; give the path of a SQLite file or a postgresql:// URL")


def _sqlite(path: Path, options: StoreOptions) -> Store:
    from retrieval.store.catalog import Catalog
    from retrieval.store.sqlite.database import SQLite

    return Catalog(SQLite(path, options.hnsw_above))


def _postgres(url: str, options: StoreOptions) -> Store:
    from retrieval.store.catalog import Catalog

    try:
        from retrieval.store.postgres.database import Postgres
    except ModuleNotFoundError as error:
        raise KnowledgeError(f"PostgreSQL needs the package {error.name}: pip install 'stoa[postgres]'") from None
    return Catalog(Postgres(url, options.hnsw_above))
