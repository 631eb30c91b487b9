"""Files that are in a store in one call, with vectors that need no model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Table, func, select

from retrieval.api import Attributes, Document, ModelIdentity, NewChunk, Vectors
from retrieval.records import IngestedFile, Job, NewFile, NewMember, NewVectorStore
from retrieval.store.api import Store
from retrieval.store.catalog import Catalog

WIDTH = 8
IDENTITY = ModelIdentity(model="tiny", revision="1", dimensions=WIDTH, pooling="mean+normalize")


def new_store(store: Store, owner: str = "", name: str = "kb", **given: Any) -> str:
    return store.create_store(NewVectorStore(owner=owner, name=name, **given)).id


def put(store: Store, content: bytes | str = b"text", owner: str = "", filename: str = "a.txt", **given: Any) -> str:
    parts = [content.encode() if isinstance(content, str) else content]
    return store.put_file(NewFile(owner=owner, filename=filename, **given), parts).id


def outcome(texts: Sequence[str], vectors: Vectors | None = None, title: str = "", identity: ModelIdentity = IDENTITY) -> IngestedFile:
    """A document of these pieces, one behind the other."""
    starts = np.cumsum([0, *(len(text) + 1 for text in texts)]).tolist()
    pieces = tuple(NewChunk(text=text, start=start, end=start + len(text)) for text, start in zip(texts, starts, strict=False))
    document = Document(text="\n".join(texts), blocks=(), media_type="text/plain", title=title, notes=("read",))
    given = directions(texts) if vectors is None else vectors
    return IngestedFile(document=document, chunks=pieces, vectors=given, identity=identity)


def directions(texts: Sequence[str]) -> Vectors:
    """The same for the same text, and different for others."""
    rows = [np.random.default_rng(list(text.encode())).standard_normal(WIDTH) for text in texts]
    return np.array(rows, np.float32).reshape(-1, WIDTH)


def claim(store: Store, seconds: float = 30.0) -> Job:
    job = store.claim("worker", seconds)
    assert job is not None
    return job


def fill(
    store: Store,
    store_id: str,
    texts: Sequence[str],
    *,
    filename: str = "a.txt",
    attributes: Attributes | None = None,
    file_id: str | None = None,
    vectors: Vectors | None = None,
) -> str:
    """Puts a file (of the operator's) there, queues and completes it. Nothing else may be in the queue."""
    file_id = file_id or put(store, "\n".join(texts), filename=filename)
    store.add_members("", store_id, [NewMember(file_id=file_id, attributes=attributes or {})])
    job = claim(store)
    assert job.file_id == file_id
    assert store.complete(job, outcome(texts, vectors))
    return file_id


def count(store: Store, table: Table) -> int:
    """Its rows, whoever may see them."""
    assert isinstance(store, Catalog)
    with store._dialect.reading() as tx:
        return tx.execute(select(func.count()).select_from(table)).scalar_one()
