"""Sends a bomb from several clients, each again and again, until the process is ended."""

import socket
import sys
from contextlib import suppress
from threading import Thread
from urllib.parse import urlsplit

from bench.floods.bombs import BOMBS

THROWERS = 3
TIMEOUT = 120.0  # seconds
SHOWN = 400  # bytes of an answer


def throw(name: str, url: str) -> None:
    """Prints what came back first."""
    where, bomb = urlsplit(url), BOMBS[name]()
    address, request = (where.hostname or "", where.port or 80), bomb.request(where.netloc)
    print(_send(address, request, waits=True), flush=True)
    for _ in range(THROWERS):
        Thread(target=_send_for_ever, args=(address, request, bomb.waits)).start()


def _send_for_ever(address: tuple[str, int], request: bytes, waits: bool) -> None:
    while True:
        _send(address, request, waits=waits)


def _send(address: tuple[str, int], request: bytes, *, waits: bool) -> str:
    """The status and the beginning of the answer, or what went wrong."""
    try:
        with socket.create_connection(address, TIMEOUT) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):  # refused before all was sent
                connection.sendall(request)
            return _read(connection) if waits else ""
    except OSError as error:
        return repr(error)


def _read(connection: socket.socket) -> str:
    answer = b""
    while part := connection.recv(65_536):
        answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return f"{head.split(b' ')[1].decode()} {body[:SHOWN].decode(errors='replace')}" if head else "no answer"


if __name__ == "__main__":
    throw(*sys.argv[1:])
