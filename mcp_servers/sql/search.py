"""Search for objects in a database by name pattern, and their description."""

import difflib
import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mcp_servers.common import Clock
from mcp_servers.sql.api import Database, Item, Kind, SqlError, Table
from mcp_servers.sql.source import Source

Detail = Literal["names", "summary", "full"]

_PART = re.compile(r'"(?:[^"]|"")+"|`(?:[^`]|``)+`|\[[^\]]+\]|[^."`\[\]]+')


@dataclass(frozen=True, slots=True)
class Search:
    kind: Kind
    pattern: str = ""  # wildcards * and ?; without them a substring
    schema: str = ""
    table: str = ""


def search(database: Database, wanted: Search, clock: Clock) -> list[Item]:
    """Matching items in the database's order. Items without a schema match `schema` by name."""
    found = database.items(wanted.kind, clock)
    return [
        item
        for item in found
        if _like(item.name, wanted.pattern)
        and (not wanted.schema or (item.schema_name or item.name).lower() == wanted.schema.lower())
        and (not wanted.table or (item.table or item.name).lower() == wanted.table.rpartition(".")[2].lower())
    ]


def _like(name: str, pattern: str) -> bool:
    name, pattern = name.lower(), pattern.lower()
    if any(sign in pattern for sign in "*?"):
        return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))
    return pattern in name


def find(database: Database, name: str, clock: Clock) -> Item:
    """The table or view `name`, optionally with schema. Raises SqlError, which suggests similar names."""
    known = [*database.items("table", clock), *database.items("view", clock)]
    names = (name, unquoted(name))
    exact = [item for item in known if item.name in names or path(item) in names]
    folded = {each.lower() for each in names}
    found = exact or [item for item in known if {item.name.lower(), path(item).lower()} & folded]
    if len(found) == 1:
        return found[0]
    if found:
        raise SqlError(f"table: several are called {name!r}: {_some([path(item) for item in found])}")
    wanted = unquoted(name).rpartition(".")[2]
    near = difflib.get_close_matches(wanted, [item.name for item in known], 5, 0.5)
    near = [path(item) for item in known if item.name in near] or [path(item) for item in known]
    raise SqlError(f"table: there is none called {name!r}; there are {_some(near) or 'no tables'}")


def unquoted(name: str) -> str:
    """Without the quotes that SQL needs around names: "a"."B c", `a`.`b` or [a].[b]."""
    return ".".join(found[1:-1].replace(found[0] * 2, found[0]) if found[0] in '"`[' else found for found in _PART.findall(name)) or name


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")


def path(item: Item) -> str:
    return f"{item.schema_name}.{item.name}" if item.schema_name else item.name


def described(source: Source, database: Database, item: Item, sample: int, clock: Clock) -> Table:
    """`sample`: number of rows to include."""
    shape = database.shape(item, clock)
    names = [name for name in (item.schema_name, item.name) if name]
    rows = database.query(f"SELECT * FROM {database.quoted(*names)} LIMIT {sample:d}", {}, sample, clock) if sample else None
    return Table(
        source=source.name,
        schema_name=item.schema_name or "",
        name=item.name,
        kind="view" if item.kind == "view" else "table",
        comment=item.comment,
        rows_estimate=item.rows_estimate,
        columns=list(shape.columns),
        primary_key=list(shape.primary_key),
        foreign_keys=list(shape.foreign_keys),
        indexes=list(shape.indexes),
        definition=shape.definition,
        sample=rows,
    )
