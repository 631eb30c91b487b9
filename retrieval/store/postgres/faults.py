"""Errors of PostgreSQL, by their SQLSTATE (PostgreSQL's documentation, appendix A) where the server has sent one."""

import psycopg
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from retrieval.api import DatabaseFault, FaultKind

STATES: tuple[tuple[str, FaultKind], ...] = (  # of several prefixes that fit the first counts
    ("53100", "full"),
    ("53", "busy"),  # too many connections, out of memory
    ("25006", "read_only"),
    ("40", "busy"),  # serialization failure, deadlock
    ("55P03", "busy"),  # a lock is not available
    ("57014", "busy"),  # cancelled, such as by statement_timeout
    ("57", "unreachable"),  # shut down, restarting
    ("08", "unreachable"),
    ("28", "unreachable"),  # user or password is not accepted (any more)
    ("3D", "unreachable"),  # no such database
    ("XX", "damaged"),
    ("58", "damaged"),  # a file of the server cannot be read or written
)


def explain(error: Exception, url: URL) -> DatabaseFault | None:
    """None for what the database is not to blame for, such as a violated constraint."""
    if isinstance(error, PoolExhausted):
        return DatabaseFault("busy", f"all connections to {redacted_url(url)} are in use")
    original = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(original, psycopg.Error):
        return None
    connecting = isinstance(error, DBAPIError) and error.statement is None
    kind = _kind(original, connecting=connecting)
    return None if kind is None else DatabaseFault(kind, f"{redacted_url(url)}: {_reason(original, url)}")


def redacted_url(url: URL) -> str:
    host = url.query.get("host")
    return url.set(drivername="postgresql", query={"host": host} if host else {}).render_as_string(hide_password=True)


def _kind(error: psycopg.Error, *, connecting: bool) -> FaultKind | None:
    if (state := error.sqlstate) is None:  # the client library's own: the connection is lost, or was never made
        return "unreachable" if connecting or isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) else None
    return next((kind for prefix, kind in STATES if state.startswith(prefix)), None)


def _reason(error: psycopg.Error, url: URL) -> str:
    reason = str(error).strip()
    return reason.replace(str(url.password), "***") if url.password else reason
