"""Conversations and their items, which are in the order in which they came."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from retrieval.api import Conflict, NotFound
from retrieval.records import Listing, Page
from retrieval.store.dialect import Transactions
from retrieval.store.rows import Order, new_id, page
from server.archive.api import Conversation, Json
from server.archive.schema import conversation_items, conversations


class ConversationTable:
    """Implements api.Conversations."""

    _transactions: Transactions
    _clock: Callable[[], float]

    def create_conversation(self, owner: str, metadata: Mapping[str, str], items: Sequence[Json]) -> Conversation:
        new = Conversation(id=new_id("conv_"), owner=owner, created_at=int(self._clock()), metadata=dict(metadata))
        with self._transactions.writing() as tx:
            key = tx.execute(insert(conversations).values(**asdict(new)).returning(conversations.c.key)).scalar_one()
            _expect_new(tx, key, items)
            append_items(tx, key, items)
        return new

    def conversation(self, owner: str, conversation_id: str) -> Conversation:
        with self._transactions.reading() as tx:
            return _record(_find(tx, owner, conversation_id))

    def change_conversation(self, owner: str, conversation_id: str, metadata: Mapping[str, str]) -> Conversation:
        with self._transactions.writing() as tx:
            key = hold_conversation(tx, owner, conversation_id)
            tx.execute(update(conversations).where(conversations.c.key == key).values(metadata=dict(metadata)))
            return _record(_find(tx, owner, conversation_id))

    def delete_conversation(self, owner: str, conversation_id: str) -> None:
        with self._transactions.writing() as tx:
            key = hold_conversation(tx, owner, conversation_id)
            tx.execute(delete(conversations).where(conversations.c.key == key))

    def add_items(self, owner: str, conversation_id: str, items: Sequence[Json]) -> None:
        with self._transactions.writing() as tx:
            key = hold_conversation(tx, owner, conversation_id)
            _expect_new(tx, key, items)
            append_items(tx, key, items)

    def extend_conversation(self, owner: str, conversation_id: str, items: Sequence[Json]) -> None:
        with self._transactions.writing() as tx:
            append_if_there(tx, owner, conversation_id, items)

    def items(self, owner: str, conversation_id: str, listing: Listing) -> Page[Json]:
        with self._transactions.reading() as tx:
            within = conversation_items.c.conversation_key == _find(tx, owner, conversation_id)["key"]
            order = Order((conversation_items.c.key,), conversation_items.c.id, within, "item")
            found = page(tx, select(conversation_items.c.body), order, listing)
        return Page(items=tuple(row["body"] for row in found.items), more=found.more)

    def all_items(self, owner: str, conversation_id: str) -> list[Json]:
        with self._transactions.reading() as tx:
            within = conversation_items.c.conversation_key == _find(tx, owner, conversation_id)["key"]
            return list(tx.execute(select(conversation_items.c.body).where(within).order_by(conversation_items.c.key)).scalars())

    def item(self, owner: str, conversation_id: str, item_id: str) -> Json:
        with self._transactions.reading() as tx:
            key = _find(tx, owner, conversation_id)["key"]
            wanted = (conversation_items.c.conversation_key == key, conversation_items.c.id == item_id)
            if (row := tx.execute(select(conversation_items.c.body).where(*wanted)).one_or_none()) is None:
                raise NotFound("item", item_id)
            return row.body

    def delete_item(self, owner: str, conversation_id: str, item_id: str) -> None:
        with self._transactions.writing() as tx:
            key = hold_conversation(tx, owner, conversation_id)
            wanted = (conversation_items.c.conversation_key == key, conversation_items.c.id == item_id)
            if tx.execute(delete(conversation_items).where(*wanted)).rowcount == 0:
                raise NotFound("item", item_id)


def hold_conversation(tx: Connection, owner: str, conversation_id: str) -> int:
    """Its key. Nobody else adds to it until this transaction ends."""
    mine = (conversations.c.id == conversation_id, conversations.c.owner == owner)
    if (key := tx.execute(select(conversations.c.key).where(*mine).with_for_update()).scalar_one_or_none()) is None:
        raise NotFound("conversation", conversation_id)
    return key


def append_items(tx: Connection, key: int, items: Sequence[Json]) -> None:
    """Of a conversation that is held. What is in it already stays where it is."""
    there = _there(tx, key, items)
    fresh = {item["id"]: item for item in items if item["id"] not in there}
    if fresh:
        tx.execute(insert(conversation_items), [{"conversation_key": key, "id": id, "body": body} for id, body in fresh.items()])


def append_if_there(tx: Connection, owner: str, conversation_id: str, items: Sequence[Json]) -> None:
    """A response outlives its conversation."""
    try:
        key = hold_conversation(tx, owner, conversation_id)
    except NotFound:
        return
    append_items(tx, key, items)


def _expect_new(tx: Connection, key: int, items: Sequence[Json]) -> None:
    taken = _there(tx, key, items)
    for item in items:
        if item["id"] in taken:
            raise Conflict(f"the conversation has an item {item['id']!r} already")
        taken.add(item["id"])


def _there(tx: Connection, key: int, items: Sequence[Json]) -> set[str]:
    """Ids that the conversation has already."""
    named = conversation_items.c.id.in_([item["id"] for item in items])
    return set(tx.execute(select(conversation_items.c.id).where(conversation_items.c.conversation_key == key, named)).scalars())


def _find(tx: Connection, owner: str, conversation_id: str) -> RowMapping:
    mine = (conversations.c.id == conversation_id, conversations.c.owner == owner)
    if (row := tx.execute(select(conversations).where(*mine)).mappings().one_or_none()) is None:
        raise NotFound("conversation", conversation_id)
    return row


def _record(row: RowMapping) -> Conversation:
    return Conversation(id=row["id"], owner=row["owner"], created_at=row["created_at"], metadata=row["metadata"])
