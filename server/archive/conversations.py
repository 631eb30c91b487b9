"""Conversations and their items, in the order in which they were added."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from retrieval.api import Conflict, NotFound
from retrieval.records import Page, PageRequest
from retrieval.store.dialect import Transactions
from retrieval.store.rows import ListOrder, new_id, page
from server.archive.api import Conversation, Json
from server.archive.rows import fetch_row, owned
from server.archive.schema import conversation_items, conversations


class ConversationTable:
    """Implements api.Conversations."""

    _transactions: Transactions
    _clock: Callable[[], float]

    def create_conversation(self, owner: str, metadata: Mapping[str, str], items: Sequence[Json]) -> Conversation:
        new = Conversation(id=new_id("conv_"), owner=owner, created_at=int(self._clock()), metadata=dict(metadata))
        with self._transactions.writing() as tx:
            key = tx.execute(insert(conversations).values(**asdict(new)).returning(conversations.c.key)).scalar_one()
            _expect_new_ids(tx, key, items)
            append_items(tx, key, items)
        return new

    def conversation(self, owner: str, conversation_id: str) -> Conversation:
        with self._transactions.reading() as tx:
            return _from_row(_fetch(tx, owner, conversation_id))

    def conversations(self, owner: str, listing: PageRequest) -> Page[Conversation]:
        order = ListOrder((conversations.c.key,), conversations.c.id, conversations.c.owner == owner, "conversation")
        with self._transactions.reading() as tx:
            found = page(tx, select(conversations), order, listing)
        return Page(items=tuple(map(_from_row, found.items)), more=found.more)

    def change_conversation(self, owner: str, conversation_id: str, metadata: Mapping[str, str]) -> Conversation:
        with self._transactions.writing() as tx:
            key = lock_conversation(tx, owner, conversation_id)
            tx.execute(update(conversations).where(conversations.c.key == key).values(metadata=dict(metadata)))
            return _from_row(_fetch(tx, owner, conversation_id))

    def delete_conversation(self, owner: str, conversation_id: str) -> None:
        with self._transactions.removing() as tx:
            key = lock_conversation(tx, owner, conversation_id)
            tx.execute(delete(conversations).where(conversations.c.key == key))

    def add_items(self, owner: str, conversation_id: str, items: Sequence[Json]) -> None:
        with self._transactions.writing() as tx:
            key = lock_conversation(tx, owner, conversation_id)
            _expect_new_ids(tx, key, items)
            append_items(tx, key, items)

    def extend_conversation(self, owner: str, conversation_id: str, items: Sequence[Json]) -> None:
        with self._transactions.writing() as tx:
            append_if_exists(tx, owner, conversation_id, items)

    def items(self, owner: str, conversation_id: str, listing: PageRequest) -> Page[Json]:
        with self._transactions.reading() as tx:
            in_conversation = conversation_items.c.conversation_key == _fetch(tx, owner, conversation_id)["key"]
            order = ListOrder((conversation_items.c.key,), conversation_items.c.id, in_conversation, "item")
            found = page(tx, select(conversation_items.c.body), order, listing)
        return Page(items=tuple(row["body"] for row in found.items), more=found.more)

    def all_items(self, owner: str, conversation_id: str) -> list[Json]:
        with self._transactions.reading() as tx:
            in_conversation = conversation_items.c.conversation_key == _fetch(tx, owner, conversation_id)["key"]
            return list(tx.execute(select(conversation_items.c.body).where(in_conversation).order_by(conversation_items.c.key)).scalars())

    def item(self, owner: str, conversation_id: str, item_id: str) -> Json:
        with self._transactions.reading() as tx:
            key = _fetch(tx, owner, conversation_id)["key"]
            matches = (conversation_items.c.conversation_key == key, conversation_items.c.id == item_id)
            if (row := tx.execute(select(conversation_items.c.body).where(*matches)).one_or_none()) is None:
                raise NotFound("item", item_id)
            return row.body

    def delete_item(self, owner: str, conversation_id: str, item_id: str) -> None:
        with self._transactions.removing() as tx:
            key = lock_conversation(tx, owner, conversation_id)
            matches = (conversation_items.c.conversation_key == key, conversation_items.c.id == item_id)
            if tx.execute(delete(conversation_items).where(*matches)).rowcount == 0:
                raise NotFound("item", item_id)


def lock_conversation(tx: Connection, owner: str, conversation_id: str) -> int:
    """Returns its key, and locks its row until this transaction ends, so that nobody else adds items. Raises NotFound."""
    query = select(conversations.c.key).where(*owned(conversations, owner, conversation_id)).with_for_update()
    if (key := tx.execute(query).scalar_one_or_none()) is None:
        raise NotFound("conversation", conversation_id)
    return key


def append_items(tx: Connection, key: int, items: Sequence[Json]) -> None:
    """The conversation must be locked. Items whose ids it has already are skipped."""
    existing = _existing_ids(tx, key, items)
    new = {item["id"]: item for item in items if item["id"] not in existing}
    if new:
        tx.execute(insert(conversation_items), [{"conversation_key": key, "id": id, "body": body} for id, body in new.items()])


def append_if_exists(tx: Connection, owner: str, conversation_id: str, items: Sequence[Json]) -> None:
    """Does nothing if the conversation has been deleted: a response may outlive it."""
    try:
        key = lock_conversation(tx, owner, conversation_id)
    except NotFound:
        return
    append_items(tx, key, items)


def _expect_new_ids(tx: Connection, key: int, items: Sequence[Json]) -> None:
    """Raises Conflict for an id that is in the conversation already, or twice among the items."""
    taken = _existing_ids(tx, key, items)
    for item in items:
        if item["id"] in taken:
            raise Conflict(f"the conversation has an item {item['id']!r} already")
        taken.add(item["id"])


def _existing_ids(tx: Connection, key: int, items: Sequence[Json]) -> set[str]:
    """Those of the items' ids that the conversation has already."""
    same_id = conversation_items.c.id.in_([item["id"] for item in items])
    return set(tx.execute(select(conversation_items.c.id).where(conversation_items.c.conversation_key == key, same_id)).scalars())


def _fetch(tx: Connection, owner: str, conversation_id: str) -> RowMapping:
    return fetch_row(tx, conversations, owner, conversation_id, "conversation")


def _from_row(row: RowMapping) -> Conversation:
    return Conversation(id=row["id"], owner=row["owner"], created_at=row["created_at"], metadata=row["metadata"])
