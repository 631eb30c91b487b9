"""Stored chat completions (requests with `store: true`)."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, insert, select, update

from retrieval.api import NotFound
from retrieval.records import Page, PageRequest
from retrieval.store.dialect import Transactions
from retrieval.store.rows import ListOrder, page
from server.archive.api import StoredCompletion
from server.archive.rows import delete_row, fetch_row, owned
from server.archive.schema import completion_labels, completions

COLUMNS = ("id", "owner", "created_at", "model", "metadata", "body", "messages")


class CompletionTable:
    """Implements api.Completions."""

    _transactions: Transactions

    def put_completion(self, new: StoredCompletion) -> None:
        values: dict[str, Any] = {name: getattr(new, name) for name in COLUMNS}
        with self._transactions.writing() as tx:
            key = tx.execute(insert(completions).values(**values).returning(completions.c.key)).scalar_one()
            _insert_labels(tx, key, new.metadata)

    def completion(self, owner: str, completion_id: str) -> StoredCompletion:
        with self._transactions.reading() as tx:
            return _from_row(_fetch(tx, owner, completion_id))

    def completions(
        self, owner: str, listing: PageRequest, *, model: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> Page[StoredCompletion]:
        query = select(completions).where(*map(_has_label, (metadata or {}).items()))
        if model is not None:
            query = query.where(completions.c.model == model)
        order = ListOrder((completions.c.key,), completions.c.id, completions.c.owner == owner, "chat completion")
        with self._transactions.reading() as tx:
            found = page(tx, query, order, listing)
        return Page(items=tuple(map(_from_row, found.items)), more=found.more)

    def change_completion(self, owner: str, completion_id: str, metadata: Mapping[str, str]) -> StoredCompletion:
        with self._transactions.writing() as tx:
            change = update(completions).where(*owned(completions, owner, completion_id)).values(metadata=dict(metadata))
            if (key := tx.execute(change.returning(completions.c.key)).scalar_one_or_none()) is None:
                raise NotFound("chat completion", completion_id)
            tx.execute(delete(completion_labels).where(completion_labels.c.completion_key == key))
            _insert_labels(tx, key, metadata)
            return _from_row(_fetch(tx, owner, completion_id))

    def delete_completion(self, owner: str, completion_id: str) -> None:
        with self._transactions.removing() as tx:
            delete_row(tx, completions, owner, completion_id, "chat completion")


def _has_label(label: tuple[str, str]) -> ColumnElement[bool]:
    """The condition that a completion's metadata has this key with this value."""
    name, value = label
    of_completion = completion_labels.c.completion_key == completions.c.key
    matches = (of_completion, completion_labels.c.name == name, completion_labels.c.value == value)
    return select(completion_labels.c.name).where(*matches).exists()


def _insert_labels(tx: Connection, key: int, metadata: Mapping[str, str]) -> None:
    if metadata:
        tx.execute(insert(completion_labels), [{"completion_key": key, "name": k, "value": v} for k, v in metadata.items()])


def _fetch(tx: Connection, owner: str, completion_id: str) -> RowMapping:
    return fetch_row(tx, completions, owner, completion_id, "chat completion")


def _from_row(row: RowMapping) -> StoredCompletion:
    return StoredCompletion(**{name: row[name] for name in COLUMNS})
