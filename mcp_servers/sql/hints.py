"""What to write in place of a name that a database does not know, from its catalog."""

import difflib
import re
from collections.abc import Iterable
from contextlib import suppress

from mcp_servers.common import Clock, Stopped
from mcp_servers.sql.api import Database, Item, NoSuchName, SqlError

PLAIN = re.compile(r"[a-z_][a-z0-9_]*")  # needs no quotes, in whatever database
USUAL = ("main", "public")  # schemas
MOST = 12  # names in a hint


def with_hint(database: Database, sql: str, error: NoSuchName, clock: Clock) -> SqlError:
    """The error with the names that may be meant; the error itself if the catalog cannot be read. `sql`: the statement."""
    with suppress(SqlError, Stopped):
        hint = _tables(database, error, clock) if error.kind == "table" else _columns(database, sql, error, clock)
        return SqlError(f"{error}; {hint}") if hint else error
    return error


def _tables(database: Database, error: NoSuchName, clock: Clock) -> str:
    known = [*database.items("table", clock), *database.items("view", clock)]
    found = _alike(_last(error.name), known)
    return _there(spelt(database, *_path(item)) for item in found) or "there are no tables"


def _columns(database: Database, sql: str, error: NoSuchName, clock: Clock) -> str:
    """Of the tables that the statement names."""
    lowered, name = sql.lower(), _last(error.name)
    known = [item for item in database.items("column", clock) if item.table and item.table.lower() in lowered]
    if f'"{name.lower()}"' in lowered and not any(item.name.lower() == name.lower() for item in known):
        return f"double quotes are for names: a text is written {name!r}".replace('"', "'") + _but(database, name, known)
    return _there(spelt(database, item.name) for item in _alike(name, known))


def _but(database: Database, name: str, known: list[Item]) -> str:
    near = _near(name, known)
    return f"; {_there(spelt(database, item.name) for item in near)}" if near else ""


def _alike(name: str, known: list[Item]) -> list[Item]:
    """Those that differ only in case, else those that are spelt alike, else all."""
    return [item for item in known if item.name.lower() == name.lower()] or _near(name, known) or known


def _near(name: str, known: list[Item]) -> list[Item]:
    names = difflib.get_close_matches(name.lower(), {item.name.lower() for item in known}, 5, 0.6)
    return [item for item in known if item.name.lower() in names]


def _there(names: Iterable[str]) -> str:
    found = list(dict.fromkeys(names))
    if not found:
        return ""
    quoted = " (the quotes belong to it)" if not all(PLAIN.fullmatch(part) for name in found[:MOST] for part in name.split(".")) else ""
    return f"there {'is' if len(found) == 1 else 'are'} {', '.join(found[:MOST])}{' ...' if len(found) > MOST else ''}{quoted}"


def _path(item: Item) -> list[str]:
    """With the schema, unless it is the one that is looked in anyway."""
    return [name for name in (item.schema_name, item.name) if name and (name == item.name or name not in USUAL)]


def spelt(database: Database, *names: str) -> str:
    """As SQL needs it: in quotes where there are capitals or signs."""
    return ".".join(name if PLAIN.fullmatch(name) else database.quoted(name) for name in names)


def _last(name: str) -> str:
    return name.rpartition(".")[2].strip("\"`[]'")
