"""Pictures in both stores: their vectors have an index of their own, they obey filters, and they go with their files."""

from collections.abc import Callable

import numpy as np
import pytest

from retrieval.api import Compare, Document, ModelIdentity, NewChunk, NotFound, Picture, WrongModel
from retrieval.records import IngestedFile, NewFile, NewMember, SeenPictures
from retrieval.store.api import Store
from tests.retrieval.filling import new_store

TEXTS = ModelIdentity(model="texts", revision="1", dimensions=2, pooling="mean")
SIGHT = ModelIdentity(model="sight", revision="1", dimensions=3, pooling="cls", called="clip")
AXES = np.eye(3, dtype=np.float32)


def ingested(count: int, identity: ModelIdentity = SIGHT) -> IngestedFile:
    """A text, and pictures in directions of their own."""
    shown = [Picture(data=bytes([65 + i]), media_type="image/png", start=0, end=4) for i in range(count)]
    chunks = (NewChunk(text="Text", start=0, end=4), *(NewChunk(text="Text", start=0, end=4, picture=one) for one in shown))
    seen = SeenPictures(vectors=AXES[:count], identity=identity) if count else None
    document = Document(text="Text", blocks=(), media_type="text/plain", pictures=tuple(shown))
    return IngestedFile(document=document, chunks=chunks, vectors=np.ones((count + 1, 2), np.float32), identity=TEXTS, seen=seen)


def add(store: Store, store_id: str, outcome: IngestedFile, name: str) -> str:
    file_id = store.put_file(NewFile(owner="", filename=name), [name.encode()]).id
    store.add_members("", store_id, [NewMember(file_id=file_id, attributes={"name": name})])
    job = store.claim("worker", 60)
    assert job is not None and store.complete(job, outcome)
    return file_id


def best(store: Store, store_id: str, axis: int, **given: Compare) -> list[tuple[str, float]]:
    found = store.pictures(store_id, AXES[axis], 10, given.get("filter"))
    chunks = store.hits([one.chunk_id for one in found])
    shown = [store.picture("", store_id, one.chunk_id) for one in found]
    assert all(chunks[one.chunk_id][0].picture == media_type for one, (media_type, _) in zip(found, shown, strict=True))
    return [(data.decode(), round(one.score, 3)) for one, (_, data) in zip(found, shown, strict=True)]


def test_the_nearest_picture_comes_first_and_removal_removes(store: Store) -> None:
    store_id = new_store(store)
    assert store.pictures(store_id, AXES[0], 10) == []
    first = add(store, store_id, ingested(2), "first")
    assert best(store, store_id, 1) == [("B", 1.0), ("A", 0.0)]
    second = add(store, store_id, ingested(3), "second")
    assert best(store, store_id, 2)[0] == ("C", 1.0) and len(best(store, store_id, 2)) == 5
    assert len(best(store, store_id, 0, filter=Compare(op="eq", key="name", value="first"))) == 2
    store.delete_file("", first)
    assert best(store, store_id, 0) == [("A", 1.0), ("B", 0.0), ("C", 0.0)]
    with pytest.raises(NotFound):
        store.picture("", store_id, store.chunks_of("", store_id, second)[0].id)  # a chunk of text


def test_another_process_sees_the_same(store: Store, opener: Callable[[], Store]) -> None:
    store_id = new_store(store)
    add(store, store_id, ingested(1), "first")
    other = opener()
    assert best(other, store_id, 0) == [("A", 1.0)]
    add(store, store_id, ingested(3), "second")
    assert len(best(other, store_id, 0)) == 4


def test_pictures_of_another_model_are_refused_with_the_setting(store: Store) -> None:
    store_id = new_store(store)
    add(store, store_id, ingested(1), "first")
    store.expect_pictures(store_id, SIGHT)
    other = ModelIdentity(model="other", revision="1", dimensions=3, pooling="cls")
    with pytest.raises(WrongModel, match="STOA_IMAGE_EMBEDDING_MODEL=clip"):
        store.expect_pictures(store_id, other)
    with pytest.raises(WrongModel):
        add(store, store_id, ingested(1, other), "second")
    assert len(best(store, store_id, 0)) == len(store.lexical(store_id, "text", 10)) - 1 == 1  # nothing of it is left
