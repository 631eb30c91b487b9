"""Two servers that share a PostgreSQL, and nginx before them with deploy/nginx.conf."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAIN = """
{person} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/stoa.conf;
}}
"""


@dataclass
class Replica:
    """One of them; it comes back at the same address."""

    options: Sequence[str]
    log: Path
    port: int = field(default_factory=lambda: free_port())
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "server.cli", "serve", "--port", str(self.port), *self.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    @property
    def ready(self) -> bool:
        assert self.process is None or self.process.poll() is None, f"it has ended by itself: {self.log.read_text()[-2000:]}"
        return answers(f"{self.url}/ready")


@contextmanager
def replicas(options: Sequence[str], folder: Path, count: int = 2) -> Generator[list[Replica]]:
    """Started, but not ready."""
    found = [Replica(options, folder / f"replica-{number}.log") for number in range(count)]
    try:
        for replica in found:
            replica.start()
        yield found
    finally:
        for replica in found:
            replica.kill()


@contextmanager
def nginx(urls: Sequence[str], program: str = "/usr/sbin/nginx") -> Generator[str]:
    """deploy/nginx.conf as it is, but for the addresses and the port. Yields its URL."""
    port, text = free_port(), (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    servers = "\n".join(f"    server {url.removeprefix('http://')} max_fails=1 fail_timeout=2s;" for url in urls)
    text = re.sub(r"(    server 127[^\n]*\n)+", f"{servers}\n", text, count=1).replace("listen 80;", f"listen 127.0.0.1:{port};")
    with tempfile.TemporaryDirectory(prefix="nginx") as name:
        folder, person = Path(name), "user root root;" if os.geteuid() == 0 else ""  # else its workers could not write there
        (folder / "stoa.conf").write_text(text, encoding="utf-8")
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder, person=person), encoding="utf-8")
        command = [program, "-e", str(folder / "errors"), "-c", str(folder / "nginx.conf")]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                _await(port)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


def _await(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
