"""Chat completions that their makers wanted kept."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, insert, select, update

from retrieval.api import NotFound
from retrieval.records import Listing, Page
from retrieval.store.dialect import Transactions
from retrieval.store.rows import Order, page
from server.archive.api import StoredCompletion
from server.archive.schema import completion_labels, completions

NAMES = ("id", "owner", "created_at", "model", "metadata", "body", "messages")


class CompletionTable:
    """Implements api.Completions."""

    _transactions: Transactions

    def put_completion(self, new: StoredCompletion) -> None:
        values: dict[str, Any] = {name: getattr(new, name) for name in NAMES}
        with self._transactions.writing() as tx:
            key = tx.execute(insert(completions).values(**values).returning(completions.c.key)).scalar_one()
            _label(tx, key, new.metadata)

    def completion(self, owner: str, completion_id: str) -> StoredCompletion:
        with self._transactions.reading() as tx:
            return _record(_find(tx, owner, completion_id))

    def completions(
        self, owner: str, listing: Listing, *, model: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> Page[StoredCompletion]:
        query = select(completions).where(*map(_labelled, (metadata or {}).items()))
        if model is not None:
            query = query.where(completions.c.model == model)
        order = Order((completions.c.key,), completions.c.id, completions.c.owner == owner, "chat completion")
        with self._transactions.reading() as tx:
            found = page(tx, query, order, listing)
        return Page(items=tuple(map(_record, found.items)), more=found.more)

    def change_completion(self, owner: str, completion_id: str, metadata: Mapping[str, str]) -> StoredCompletion:
        mine = (completions.c.id == completion_id, completions.c.owner == owner)
        with self._transactions.writing() as tx:
            changed = update(completions).where(*mine).values(metadata=dict(metadata)).returning(completions.c.key)
            if (key := tx.execute(changed).scalar_one_or_none()) is None:
                raise NotFound("chat completion", completion_id)
            tx.execute(delete(completion_labels).where(completion_labels.c.completion_key == key))
            _label(tx, key, metadata)
            return _record(_find(tx, owner, completion_id))

    def delete_completion(self, owner: str, completion_id: str) -> None:
        with self._transactions.writing() as tx:
            gone = delete(completions).where(completions.c.id == completion_id, completions.c.owner == owner)
            if tx.execute(gone).rowcount == 0:
                raise NotFound("chat completion", completion_id)


def _labelled(label: tuple[str, str]) -> ColumnElement[bool]:
    name, value = label
    of = completion_labels.c.completion_key == completions.c.key
    return select(completion_labels.c.name).where(of, completion_labels.c.name == name, completion_labels.c.value == value).exists()


def _label(tx: Connection, key: int, metadata: Mapping[str, str]) -> None:
    if metadata:
        tx.execute(insert(completion_labels), [{"completion_key": key, "name": k, "value": v} for k, v in metadata.items()])


def _find(tx: Connection, owner: str, completion_id: str) -> RowMapping:
    mine = (completions.c.id == completion_id, completions.c.owner == owner)
    if (row := tx.execute(select(completions).where(*mine)).mappings().one_or_none()) is None:
        raise NotFound("chat completion", completion_id)
    return row


def _record(row: RowMapping) -> StoredCompletion:
    return StoredCompletion(**{name: row[name] for name in NAMES})
