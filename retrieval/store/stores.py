"""Vector stores: names, expiry, contents."""

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from retrieval.api import NotFound, ReadOnly
from retrieval.records import NewVectorStore, Page, PageRequest, VectorStore, VectorStoreChanges
from retrieval.store.dialect import Dialect
from retrieval.store.removal import empty_store, remove_files
from retrieval.store.rows import ListOrder, MemberStats, alive_store, new_id, page, readable, store_record
from retrieval.store.schema import files, members, stores

TOUCH_INTERVAL = 60  # seconds, at least, between two updates of last_active_at
ABANDONED_SECONDS = 86_400  # seconds after which an incomplete upload counts as abandoned


class StoreTable:
    """Implements store.api.VectorStores."""

    _dialect: Dialect
    _clock: Callable[[], float]

    def create_store(self, new: NewVectorStore) -> VectorStore:
        now, store_id = int(self._clock()), new_id("vs_")
        given = {"owner": new.owner, "name": new.name, "description": new.description, "metadata": new.metadata}
        fresh = {"id": store_id, "created_at": now, "last_active_at": now, "generation": 0, "removed": 0}
        with self._dialect.writing() as tx:
            tx.execute(insert(stores).values(**given, **fresh, expires_after_days=new.expires_after_days))
            return _records(tx, [find_store(tx, new.owner, store_id)])[0]

    def store(self, owner: str, store_id: str) -> VectorStore:
        with self._dialect.reading() as tx:
            return _records(tx, [find_store(tx, owner, store_id)])[0]

    def store_named(self, owner: str, name: str) -> VectorStore:
        named = select(stores).where(stores.c.name == name, alive_store(self._clock())).order_by(stores.c.key).limit(1)
        with self._dialect.reading() as tx:
            for who in dict.fromkeys((owner, "")):
                if (row := tx.execute(named.where(stores.c.owner == who)).mappings().one_or_none()) is not None:
                    return _records(tx, [row])[0]
        raise NotFound("vector store", name)

    def stores(self, owner: str, listing: PageRequest) -> Page[VectorStore]:
        order = ListOrder((stores.c.key,), stores.c.id, readable(owner, stores.c.owner), "vector store")
        with self._dialect.reading() as tx:
            found = page(tx, select(stores), order, listing)
            return Page(items=tuple(_records(tx, found.items)), more=found.more)

    def change_store(self, owner: str, store_id: str, change: VectorStoreChanges) -> VectorStore:
        values = {name: getattr(change, name) for name in sorted(change.fields)}
        with self._dialect.writing() as tx:
            key = own_store(tx, owner, store_id)["key"]
            if values:
                tx.execute(update(stores).where(stores.c.key == key).values(**values))
            return _records(tx, [find_store(tx, owner, store_id)])[0]

    def delete_store(self, owner: str, store_id: str) -> None:
        with self._dialect.removing() as tx:
            key = own_store(tx, owner, store_id)["key"]
            empty_store(self._dialect, tx, key)
            tx.execute(delete(stores).where(stores.c.key == key))

    def touch(self, store_id: str) -> None:
        now = int(self._clock())
        due = (stores.c.id == store_id, stores.c.last_active_at <= now - TOUCH_INTERVAL, alive_store(now))
        with self._dialect.reading() as tx:
            if tx.execute(select(stores.c.key).where(*due)).one_or_none() is None:
                return
        with self._dialect.writing() as tx:
            tx.execute(update(stores).where(*due).values(last_active_at=now))

    def sweep(self) -> None:
        now = self._clock()
        stale = (~files.c.complete, files.c.created_at < now - ABANDONED_SECONDS)
        with self._dialect.reading() as tx:
            gone = list(tx.execute(select(files.c.id).where(files.c.complete, files.c.expires_at <= now)).scalars())
            gone += tx.execute(select(files.c.id).where(*stale)).scalars()
            expired = list(tx.execute(select(stores.c.key).where(~alive_store(now), _holds_members())).scalars())
        for file_id in gone:
            with self._dialect.removing() as tx:
                remove_files(self._dialect, tx, [file_id])
        for key in expired:
            with self._dialect.removing() as tx:
                if tx.execute(select(stores.c.key).where(stores.c.key == key, ~alive_store(now))).one_or_none() is not None:
                    empty_store(self._dialect, tx, key)


def find_store(tx: Connection, owner: str, store_id: str) -> RowMapping:
    """The row of a store that `owner` may read. Raises NotFound."""
    query = select(stores).where(stores.c.id == store_id, readable(owner, stores.c.owner))
    if (row := tx.execute(query).mappings().one_or_none()) is None:
        raise NotFound("vector store", store_id)
    return row


def own_store(tx: Connection, owner: str, store_id: str) -> RowMapping:
    """The row of a store that `owner` may change, locked until the transaction ends. Raises NotFound, or ReadOnly if only readable."""
    mine = select(stores).where(stores.c.id == store_id, stores.c.owner == owner).with_for_update()
    if (row := tx.execute(mine).mappings().one_or_none()) is not None:
        return row
    raise ReadOnly("vector store", find_store(tx, owner, store_id)["id"])


def member_stats(tx: Connection, column, keys: Iterable[int | str]) -> dict[int | str, MemberStats]:
    """Member statistics by store (`column` store_key) or batch (batch_id)."""
    wanted = list(keys)
    query = select(column, members.c.state, func.count(), func.sum(members.c.usage_bytes)).where(column.in_(wanted))
    states: dict[int | str, dict[str, int]] = {key: {} for key in wanted}
    usage = dict.fromkeys(wanted, 0)
    for key, state, count, size in tx.execute(query.group_by(column, members.c.state)):
        states[key][state] = count
        usage[key] += int(size)
    return {key: MemberStats(states[key], usage[key]) for key in wanted}


def _records(tx: Connection, rows: Sequence[RowMapping]) -> list[VectorStore]:
    of = member_stats(tx, members.c.store_key, [row["key"] for row in rows])
    return [store_record(row, of[row["key"]]) for row in rows]


def _holds_members():
    return select(members.c.key).where(members.c.store_key == stores.c.key).exists()
