"""A database as the tools see it: what they ask of it, and what it answers. Everything runs in a worker thread, on a connection of
its own that is thrown away, and ends with the clock it is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, ConfigDict, Field

from mcp_servers.common import Clock

Scalar = str | int | float | bool | None
Parameters = Mapping[str, Scalar]
Kind = Literal["schema", "table", "view", "column", "index", "function"]


class SqlError(ToolError):
    """The message is meant for the model: what is wrong with the statement, or with the database. It holds no password."""


class SourceError(ValueError):
    """The message is meant for the operator: what is wrong with the source that was given. It holds no password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one call."""

    max_rows: int = 1000
    max_bytes: int = 256 * 2**10  # of all rows together, as JSON
    value_bytes: int = 16 * 2**10  # of one value; longer ones are cut
    columns: int = 200
    seconds: float = 15.0
    statement: int = 50_000  # characters of SQL
    objects: int = 50_000  # tables, columns ... that a search looks through


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rows(Answer):
    columns: list[str]
    rows: list[list[Any]] = Field(description="Values in the order of the columns; numbers that JSON readers would round are strings")
    row_count: int
    truncated: bool = Field(description="There are more rows")
    elapsed_ms: float
    notes: list[str] = Field(default=[], description="What was cut, and where")


class Changed(Answer):
    affected: int | None = Field(default=None, description="Rows that were inserted, updated or deleted")
    committed: bool
    returned: Rows | None = Field(default=None, description="Of RETURNING")
    elapsed_ms: float


class Plan(Answer):
    plan: list[str]
    elapsed_ms: float


class Item(Answer):
    """Something with a name in a database."""

    kind: Kind
    schema_name: str | None = None
    name: str
    table: str | None = Field(default=None, description="Of a column or an index")
    type: str | None = Field(default=None, description="Of a column; of a function its arguments and result")
    comment: str | None = None
    rows_estimate: int | None = None


class Column(Answer):
    name: str
    type: str
    nullable: bool
    default: str | None = None
    comment: str | None = None


class ForeignKey(Answer):
    columns: list[str]
    references: str = Field(description="The other table")
    referenced_columns: list[str]


class Index(Answer):
    name: str
    columns: list[str]
    unique: bool


class Table(Answer):
    source: str
    schema_name: str
    name: str
    kind: Literal["table", "view"]
    comment: str | None = None
    rows_estimate: int | None = None
    columns: list[Column]
    primary_key: list[str]
    foreign_keys: list[ForeignKey]
    indexes: list[Index]
    definition: str | None = Field(default=None, description="Of a view")
    sample: Rows | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a table's catalog entries say, without what the search found already."""

    columns: Sequence[Column]
    primary_key: Sequence[str] = ()
    foreign_keys: Sequence[ForeignKey] = ()
    indexes: Sequence[Index] = ()
    definition: str | None = None


class Database(Protocol):
    """Every method raises SqlError, and Stopped once the clock is over. `sql` is one statement with `:name` for what
    `parameters` holds; values are bound, never written into it."""

    def query(self, sql: str, parameters: Parameters, max_rows: int, clock: Clock) -> Rows:
        """Reads. Nothing that `sql` says can change data, files, settings or locks that outlive the call."""
        ...

    def explain(self, sql: str, parameters: Parameters, clock: Clock) -> list[str]:
        """The plan of a statement that `query` would run; it is not run."""
        ...

    def execute(self, sql: str, parameters: Parameters, dry_run: bool, clock: Clock) -> Changed:
        """Writes, in one transaction that is rolled back where `dry_run` says so or anything fails, but for tables that cannot be
        (MariaDB: not of InnoDB); `warnings` names those, and with them there is no dry_run. After Stopped nothing is committed."""
        ...

    def items(self, kind: Kind, clock: Clock) -> list[Item]:
        """All of a kind that the account may see, in order of their names, but nothing of the database's own; at most
        Limits.objects."""
        ...

    def shape(self, table: Item, clock: Clock) -> Shape:
        """`table`: as `items` gave it."""
        ...

    def quoted(self, *names: str) -> str:
        """The path to a table or a column as an identifier in SQL, whatever the names hold."""
        ...

    def warnings(self, clock: Clock) -> list[str]:
        """What the account may do that it should not be able to: for the operator."""
        ...
