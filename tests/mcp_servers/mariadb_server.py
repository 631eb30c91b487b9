"""A real MariaDB for the tests, from Debian's package mariadb-server: in a temporary folder, on a Unix socket only, gone with the
tests."""

import ctypes
import itertools
import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql

PROGRAM = "/usr/sbin/mariadbd"
INSTALL = "mariadb-install-db"


@dataclass(frozen=True)
class MariaDBServer:
    folder: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def url(self, user: str = "root", database: str = "", password: str = "") -> str:
        secret = f":{password}" if password else ""
        return f"mariadb://{user}{secret}@localhost/{database}?unix_socket={self.folder}/socket"

    def run(self, *statements: str, database: str | None = None) -> list[Any]:
        """As root. What the last one gave."""
        connection = pymysql.connect(
            unix_socket=f"{self.folder}/socket", user="root", database=database, autocommit=True, ssl_disabled=True
        )
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def database(self) -> str:
        """The name of a new, empty database."""
        name = f"test_{next(self.numbers)}"
        self.run(f"CREATE DATABASE {name}")
        return name


@contextmanager
def mariadb_server() -> Iterator[MariaDBServer]:
    with tempfile.TemporaryDirectory(prefix="my", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        common = ["--no-defaults", f"--user={pwd.getpwuid(os.geteuid()).pw_name}", f"--datadir={folder / 'data'}"]
        install = [INSTALL, *common, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(install, check=True, capture_output=True)
        options = [
            f"--socket={folder / 'socket'}",
            f"--pid-file={folder / 'pid'}",
            "--skip-networking",
            "--innodb-flush-log-at-trx-commit=0",
        ]
        small = ["--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--key-buffer-size=1M"]
        with (folder / "log").open("wb") as log:
            command = [PROGRAM, *common, *options, *small]
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, preexec_fn=_die_with_parent)
        try:
            server = MariaDBServer(folder)
            _await(server, process)
            yield server
        finally:
            process.send_signal(signal.SIGKILL)  # nothing is kept
            process.wait(30)


def _die_with_parent() -> None:
    """A killed test run leaves no server behind (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _listens(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(address)) == 0


def _await(server: MariaDBServer, process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        if _listens(server.folder / "socket"):
            return
        time.sleep(0.05)
    raise RuntimeError(f"MariaDB did not start:\n{(server.folder / 'log').read_text()}")
