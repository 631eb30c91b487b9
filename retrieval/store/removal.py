"""Cascading removal. Chunks are removed only after the store's generation and the indexes have been updated."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select, update

from retrieval.store.dialect import Dialect
from retrieval.store.schema import batches, chunks, documents, files, members, stores


def lock_stores(tx: Connection, store_keys: Sequence[int]) -> None:
    """Locks the rows until the end of the transaction, always in key order to avoid deadlocks."""
    if store_keys:
        tx.execute(select(stores.c.key).where(stores.c.key.in_(store_keys)).order_by(stores.c.key).with_for_update()).all()


def next_generation(tx: Connection, store_key: int, removing: bool) -> int:
    """Increments and returns the generation; locks the store's row until the end of the transaction."""
    new = stores.c.generation + 1
    values = {"generation": new, "removed": new} if removing else {"generation": new}
    return tx.execute(update(stores).where(stores.c.key == store_key).values(**values).returning(stores.c.generation)).scalar_one()


def remove_chunks(dialect: Dialect, tx: Connection, store_key: int, member_key: int) -> int:
    """Removes the chunks and the document of one member. Returns the store's new generation."""
    old = list(tx.execute(select(chunks.c.id).where(chunks.c.member_key == member_key)).scalars())
    generation = next_generation(tx, store_key, bool(old))
    if old:
        dialect.remove(tx, store_key, old)
        tx.execute(delete(chunks).where(chunks.c.member_key == member_key))
    tx.execute(delete(documents).where(documents.c.member_key == member_key))
    return generation


def remove_members(dialect: Dialect, tx: Connection, found: Sequence[tuple[int, int]]) -> None:
    """`found`: pairs of store key and member key."""
    lock_stores(tx, sorted({store_key for store_key, _ in found}))
    for store_key, member_key in found:
        remove_chunks(dialect, tx, store_key, member_key)
        tx.execute(delete(members).where(members.c.key == member_key))


def remove_files(dialect: Dialect, tx: Connection, file_ids: Sequence[str]) -> None:
    """Also from every store. Locks the file rows first, so that none is added to a store concurrently."""
    tx.execute(select(files.c.id).where(files.c.id.in_(file_ids)).order_by(files.c.id).with_for_update()).all()
    query = select(members.c.store_key, members.c.key).where(members.c.file_id.in_(file_ids)).order_by(members.c.key)
    remove_members(dialect, tx, [(row.store_key, row.key) for row in tx.execute(query)])
    tx.execute(delete(files).where(files.c.id.in_(file_ids)))


def empty_store(dialect: Dialect, tx: Connection, store_key: int) -> None:
    """Removes all members, chunks and batches; the files stay."""
    next_generation(tx, store_key, removing=True)
    dialect.drop(tx, store_key)
    tx.execute(delete(chunks).where(chunks.c.store_key == store_key))
    tx.execute(delete(members).where(members.c.store_key == store_key))
    tx.execute(delete(batches).where(batches.c.store_key == store_key))
    tx.execute(update(stores).where(stores.c.key == store_key).values(identity=None, picture_identity=None))
