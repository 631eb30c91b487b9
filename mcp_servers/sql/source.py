"""Database sources as given by the operator. Passwords are kept out of messages, reprs and the process list."""

import ctypes
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Never
from urllib.parse import parse_qsl, unquote, urlsplit

from mcp_servers.sql.api import SourceError

Engine = Literal["sqlite", "postgresql", "mariadb"]
ENGINES: dict[str, Engine] = {
    "sqlite": "sqlite",
    "postgres": "postgresql",
    "postgresql": "postgresql",
    "postgresql+psycopg": "postgresql",
    "mysql": "mariadb",
    "mysql+pymysql": "mariadb",
    "mariadb": "mariadb",
    "mariadb+pymysql": "mariadb",
}
NAMED = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_-]{0,31})=(?P<url>.+)", re.DOTALL)
SECRET = re.compile(r"(?i)(://[^/@\s]*:)[^@/\s]+(?=@)|(\bpassword=)[^&\s]+")


@dataclass(frozen=True, slots=True)
class Source:
    """`url`: sqlite:///FILE, a libpq URL or a MariaDB URL."""

    name: str
    engine: Engine
    url: str = field(repr=False)

    @property
    def file(self) -> Path:
        """Path of the file (SQLite only)."""
        return Path(unquote(self.url.removeprefix("sqlite:///")))

    def clean(self, message: object) -> str:
        """The message with the password masked, even if it quotes the whole URL."""
        text = SECRET.sub(lambda found: (found[1] or found[2]) + "***", str(message))
        for secret in sorted(passwords(self.url), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text.strip()


def parse_source(text: str) -> Source:
    """Parses `[NAME=]URL`: sqlite:///FILE, a file path, postgresql://..., mysql://..., mariadb://..., or env:VARIABLE, which contains
    one of these. Raises SourceError."""
    named = NAMED.fullmatch(text)
    name, url = (named["name"], named["url"]) if named else (None, text)
    if url.startswith("env:"):
        url = os.environ.get(url.removeprefix("env:"), "") or _refuse(f"{url.removeprefix('env:')} is not set in the environment")
    scheme, separator, _ = url.partition("://")
    if not separator:
        scheme, url = "sqlite", f"sqlite:///{url}"
    engine = ENGINES.get(scheme.lower()) or _refuse(f"{scheme}:// is not known; there are sqlite, postgresql, mysql and mariadb")
    if engine == "postgresql":
        url = "postgresql" + url[len(scheme) :]
    given = _name(engine, url)  # also validates the URL
    source = Source(name or given, engine, url)
    if engine == "sqlite" and not source.file.is_file():
        _refuse(f"there is no file {str(source.file)!r}; give sqlite:///FILE or the path of a database that exists")
    return source


def distinct(sources: Iterable[Source]) -> Sequence[Source]:
    """The sources. Raises SourceError if two have the same name."""
    found: dict[str, Source] = {}
    for source in sources:
        if source.name in found:
            _refuse(f"two databases are called {source.name!r}; give NAME=URL")
        found[source.name] = source
    return tuple(found.values()) or _refuse("give the URL of a database, or the path of a SQLite file")


def passwords(url: str) -> set[str]:
    """Passwords in the URL, both percent-encoded and decoded."""
    try:
        parts = urlsplit(url)
        given = [parts.password or "", *(value for key, value in parse_qsl(parts.query) if key == "password")]
    except ValueError:
        return set()
    return {form for secret in given for form in (secret, unquote(secret)) if form}


def _name(engine: Engine, url: str) -> str:
    try:
        parts = urlsplit(url)
        path = unquote(parts.path)
        _ = parts.port if "," not in parts.netloc else None  # libpq allows several hosts; .port would raise
    except ValueError:
        _refuse("the URL cannot be read; it is like postgresql://user:password@host/name, with %40 for @ and so on")
    last = Path(path).stem if engine == "sqlite" else path.strip("/")
    return re.sub(r"[^A-Za-z0-9_-]+", "-", last).strip("-")[:32] or engine


def _refuse(message: str) -> Never:
    raise SourceError(message)


def hide_arguments(secrets: Iterable[str]) -> None:
    """Removes passwords from the process list (Linux) by overwriting the memory behind /proc/self/cmdline."""
    if sys.platform != "linux":
        return
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end: proc(5), fields 48 and 49
    shown = ctypes.string_at(start, end - start)
    for secret in secrets:
        shown = shown.replace(secret.encode(), b"*" * len(secret.encode()))
    ctypes.memmove(start, shown, end - start)
