# pyright: standard
"""Typed wrapper around the driver, PyMySQL."""

import ssl
import struct
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pymysql
from pymysql.connections import Connection
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions
from pymysql.cursors import SSCursor
from pymysql.protocol import MysqlPacket

from mcp_servers.sql.api import SourceError, SqlError
from mcp_servers.sql.ending import PATIENCE
from mcp_servers.sql.source import Source

PACKET = 20 * 2**20  # maximum bytes of a row: MariaDB sends up to a gigabyte
SQL_MODE = "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"  # neither ANSI_QUOTES nor NO_BACKSLASH_ESCAPES
OPTIONS = ("unix_socket", "ssl_ca", "ssl_cert", "ssl_key")
GEOMETRY: int = FIELD_TYPE.GEOMETRY
AS_TEXT = (FIELD_TYPE.DATE, FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP, FIELD_TYPE.TIME)  # Python has neither 0000-00-00 nor 838:59:59
READERS = {**conversions, **dict.fromkeys(AS_TEXT, str), FIELD_TYPE.BIT: lambda data: int.from_bytes(data, "big")}
Address = dict[str, Any]
NONSENSE = (IndexError, struct.error, AssertionError, TypeError, ValueError)  # what the driver raises for packets of other servers
FAILURES = (pymysql.Error, OSError, UnicodeError)


class _Bounded(Connection):
    """Rejects rows larger than PACKET: the driver would hold the whole row in memory before it could be cut."""

    _room = PACKET

    def _read_packet(self, packet_type: Any = MysqlPacket) -> Any:
        self._room = PACKET
        return super()._read_packet(packet_type)

    def _read_bytes(self, num_bytes: int) -> bytes:
        self._room -= num_bytes
        if self._room < 0:
            raise SqlError("a row is larger than can be taken; select less of it, with LEFT(column, 1000) for instance")
        return super()._read_bytes(num_bytes)  # pyright: ignore[reportAttributeAccessIssue] (the driver's own way to read)


class Session:
    """One connection."""

    def __init__(self, address: Address) -> None:
        modes = {"charset": "utf8mb4", "sql_mode": SQL_MODE, "local_infile": False, "conv": READERS}
        try:
            self._connection: Any = _Bounded(**address, **modes, connect_timeout=PATIENCE, read_timeout=PATIENCE)
        except NONSENSE as error:
            raise OSError("the server there does not speak the protocol of MariaDB and MySQL") from error
        self._connection._read_timeout = None  # statements may take longer; `watched` ends them

    @property
    def descriptor(self) -> int:
        return self._connection._sock.fileno()

    @property
    def number(self) -> int:
        return self._connection.thread_id()

    @property
    def version(self) -> str:
        return self._connection.get_server_info()

    @property
    def closed(self) -> bool:
        return not self._connection.open

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[Sequence[Any]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    @contextmanager
    def streamed(self, statement: str) -> Generator["Answer"]:
        """Streams the rows. Unread rows are drained at the end, unless the session was closed before."""
        cursor = SSCursor(self._connection)
        try:
            cursor.execute(statement)
            yield Answer(cursor)
        except BaseException:
            self.close()
            raise
        finally:
            cursor.close()

    def close(self) -> None:
        """Closes at once, without draining results or COM_QUIT; the server rolls back."""
        connection = self._connection  # private attributes: the driver has no public close that does not wait
        result, connection._result = connection._result, None
        if result is not None:
            result.unbuffered_active = False
        connection._force_close()


class Answer:
    def __init__(self, cursor: SSCursor) -> None:
        self._cursor = cursor

    @property
    def columns(self) -> list[str]:
        return [column[0] for column in self._cursor.description or ()]

    @property
    def geometries(self) -> list[str]:
        return [column[0] for column in self._cursor.description or () if column[1] == GEOMETRY]

    @property
    def affected(self) -> int:
        return max(0, self._cursor.rowcount)

    def __iter__(self) -> Iterator[Sequence[Any]]:
        while (row := self._cursor.fetchone()) is not None:
            yield row


def address(source: Source) -> Address:
    """Raises SourceError."""
    try:
        parts = urlsplit(source.url)
        options = dict(parse_qsl(parts.query))
        port = parts.port or 3306
    except ValueError:
        raise SourceError("the URL cannot be read; it is like mysql://user:password@host:3306/name") from None
    if unknown := [name for name in options if name not in OPTIONS]:
        raise SourceError(f"{unknown[0]}: not known in a MariaDB URL; there are {', '.join(OPTIONS)}")
    who = {"user": unquote(parts.username or ""), "password": unquote(parts.password or "")}
    where = {"host": parts.hostname or "localhost", "port": port, "database": unquote(parts.path.strip("/")) or None}
    return {**who, **where, **_secured(options)}


def _secured(options: Mapping[str, str]) -> Address:
    """With ssl_ca the server's certificate and name are verified; otherwise TLS is used if offered. Unix sockets need no TLS."""
    if place := options.get("unix_socket"):
        return {"unix_socket": place, "ssl_disabled": True}
    if not options:
        return {}
    try:
        context = ssl.create_default_context(cafile=options.get("ssl_ca"))
        if "ssl_cert" in options:
            context.load_cert_chain(options["ssl_cert"], options.get("ssl_key"))
    except OSError as error:
        raise SourceError(f"ssl_ca, ssl_cert, ssl_key: {error.strerror or error}") from None
    return {"ssl": context}


def number_and_text(error: BaseException) -> tuple[object, str]:
    """Number and text of a server error; (0, text) for others."""
    match error.args:
        case (int(number), text, *_):
            return number, str(text)
        case _:
            return 0, str(error)


def kill(session: Session, address: Address) -> None:
    """Kills the connection on the server, and with it the statement."""
    with suppress(*FAILURES), closing(Session(address)) as other:
        other.run("KILL %s", [session.number])
