"""The database interface of the tools. Every call runs in a worker thread on its own, temporary connection and ends when its clock
runs out."""

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
    """An error in the statement or the database. The message is for the model and contains no password."""


class NoSuchName(SqlError):
    """The statement names a table or a column that does not exist. `name`: as far as the database says it, perhaps qualified."""

    def __init__(self, message: str, kind: Literal["table", "column"], name: str) -> None:
        super().__init__(message)
        self.kind: Literal["table", "column"] = kind
        self.name = name


class SourceError(ValueError):
    """An error in a source. The message is for the operator and contains no password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one call."""

    max_rows: int = 1000
    max_bytes: int = 256 * 2**10  # all rows together, as JSON
    value_bytes: int = 16 * 2**10  # per value; longer ones are cut
    columns: int = 200
    seconds: float = 15.0
    statement: int = 50_000  # characters of SQL
    objects: int = 50_000  # tables, columns ... examined by a search


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
    """Catalog details of a table beyond those in Item."""

    columns: Sequence[Column]
    primary_key: Sequence[str] = ()
    foreign_keys: Sequence[ForeignKey] = ()
    indexes: Sequence[Index] = ()
    definition: str | None = None


class Database(Protocol):
    """Every method raises SqlError, and Stopped when the clock runs out. `sql` is one statement with `:name` for the values in
    `parameters`, which are bound, never inserted into the text."""

    def query(self, sql: str, parameters: Parameters, max_rows: int, clock: Clock) -> Rows:
        """Runs a query. `sql` cannot change data, files, settings or locks beyond the call."""
        ...

    def explain(self, sql: str, parameters: Parameters, clock: Clock) -> list[str]:
        """The query plan of a statement that `query` accepts; it is not run."""
        ...

    def execute(self, sql: str, parameters: Parameters, dry_run: bool, clock: Clock) -> Changed:
        """Writes in one transaction, rolled back on `dry_run` or any error. Exception: non-transactional tables (MariaDB: not InnoDB),
        which `warnings` names and with which `dry_run` is refused. After Stopped nothing is committed."""
        ...

    def items(self, kind: Kind, clock: Clock) -> list[Item]:
        """All objects of a kind visible to the account, sorted by name, without system objects; at most Limits.objects."""
        ...

    def shape(self, table: Item, clock: Clock) -> Shape:
        """`table`: as returned by `items`."""
        ...

    def quoted(self, *names: str) -> str:
        """The names as a quoted, qualified SQL identifier; any characters are allowed."""
        ...

    def warnings(self, clock: Clock) -> list[str]:
        """Excessive rights of the account and similar risks, for the operator."""
        ...
