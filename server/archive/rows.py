"""Reading and deleting one row by its public id, within what belongs to an owner."""

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, delete, select

from retrieval.api import NotFound, ResourceKind


def owned(table: Table, owner: str, id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The WHERE conditions for the row with this id, if it belongs to `owner`."""
    return table.c.id == id, table.c.owner == owner


def fetch_row(tx: Connection, table: Table, owner: str, id: str, what: ResourceKind) -> RowMapping:
    """Raises NotFound; `what` names the kind of object in its message."""
    if (row := tx.execute(select(table).where(*owned(table, owner, id))).mappings().one_or_none()) is None:
        raise NotFound(what, id)
    return row


def delete_row(tx: Connection, table: Table, owner: str, id: str, what: ResourceKind) -> None:
    """Raises NotFound."""
    if tx.execute(delete(table).where(*owned(table, owner, id))).rowcount == 0:
        raise NotFound(what, id)
