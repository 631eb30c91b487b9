"""Selects the Database implementation for a source. Drivers are imported on demand."""

from importlib.util import find_spec

from mcp_servers.sql.api import Database, Limits, SourceError
from mcp_servers.sql.source import Source
from mcp_servers.sql.sqlite import Sqlite


def open_database(source: Source, limits: Limits) -> Database:
    """Connects lazily. Raises SourceError: driver not installed, or invalid URL."""
    match source.engine:
        case "sqlite":
            return Sqlite(source, limits)
        case "postgresql":
            _need("psycopg", "postgres")
            from mcp_servers.sql.postgres import Postgres

            return Postgres(source, limits)
        case "mariadb":
            _need("pymysql", "mysql")
            from mcp_servers.sql.mariadb import MariaDB

            return MariaDB(source, limits)


def _need(module: str, extra: str) -> None:
    if find_spec(module) is None:
        raise SourceError(f"the driver is not installed: pip install 'stoa[{extra}]'")
