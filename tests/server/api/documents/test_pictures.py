"""Pictures in answers: a passage that stands for one is cited with a link that opens it, whatever the reranker makes of its words."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.api import Block, Document, Judged, ModelIdentity, Picture, Vector, Vectors
from retrieval.images.limits import ImageError
from retrieval.ingest.worker import Ingestor, WorkerOptions
from retrieval.search.pictures import PictureSearch
from retrieval.search.retriever import KnowledgeSearch
from tests.server.api.documents.test_vector_stores import World
from tests.server.fake_knowledge import WordEmbedder, WordReranker, knowledge, settle
from tests.server.fakes import FakeEngine, ask, ready, says, text

TEXT = text()
WORDS = "The barn owl of our village sits on its beam."
OWL, FOX, THIN = (b"\x89PNG\r\n\x1a\n" + name for name in (b"owl", b"fox", b"thin"))
AXES = {"owl": np.eye(2, dtype=np.float32)[0], "fox": np.eye(2, dtype=np.float32)[1]}


@dataclass
class Album:
    """A document of one sentence and three pictures."""

    async def parse(self, content: AsyncIterator[bytes], filename: str) -> Document:
        assert b"".join([part async for part in content])
        block = Block(kind="paragraph", start=0, end=len(WORDS), page=1)
        shown = [
            Picture(data=data, media_type="image/png", start=0, end=len(WORDS), page=page) for page, data in ((1, OWL), (2, FOX), (3, THIN))
        ]
        return Document(text=WORDS, blocks=(block,), media_type="application/pdf", title="album", pictures=tuple(shown))

    def close(self) -> None: ...


@dataclass
class Eyes:
    """Sees what a picture's bytes say; a question is about an animal, or about none."""

    identity: ModelIdentity = field(default=ModelIdentity(model="eyes", revision="1", dimensions=2, pooling="cls"))

    async def see(self, picture: bytes) -> Vector:
        if picture == THIN:
            raise ImageError("too long and narrow", "image_too_large")
        return AXES[picture[-3:].decode()]

    async def ask(self, questions: Sequence[str]) -> Vectors:
        return np.array([sum((axis for name, axis in AXES.items() if name in one), np.zeros(2, np.float32)) for one in questions])

    def fluency(self, text: str) -> float:
        return 4.0

    async def anything(self) -> Vector:
        return np.zeros(2, np.float32)

    def fits(self, products: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(products, 0, 1)

    async def judged(self, images: Sequence[bytes], labels: Sequence[str]) -> Judged:
        raise AssertionError("nobody asks for it here")


def world(*, reranker: bool = False) -> World:
    plain, album, eyes = knowledge(), Album(), Eyes()
    second = WordReranker() if reranker else None
    search = KnowledgeSearch(plain.store, WordEmbedder(), second, pictures=PictureSearch(plain.store, eyes))
    ingestor = Ingestor(plain.store, album, plain.embedder, options=WorkerOptions(poll=0.05), pictures=eyes)
    known = replace(plain, parser=album, ingestor=ingestor, retriever=search, pictures=eyes, reranker=second)
    return World(ready(FakeEngine(says(f"{WORDS} [1]", TEXT), context=4096), TEXT, known)[0], known)


def stored(made: World) -> str:
    store_id = made.post("/vector_stores", file_ids=[made.upload("pages", "album.pdf")])["id"]
    settle(made.known, store_id)
    return store_id


def opened(made: World, url: str) -> bytes:
    answer = ask(made.app, "GET", url)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.headers["x-content-type-options"] == "nosniff"
    return answer.content


@pytest.mark.parametrize("reranker", [False, True])
def test_the_picture_that_is_asked_for_comes_first_and_opens(reranker: bool) -> None:
    made = world(reranker=reranker)
    store_id = stored(made)
    for animal, data, page in (("owl", OWL, 1), ("fox", FOX, 2)):
        hits = made.search(store_id, f"Show me the {animal}")["data"]
        shown = [hit for hit in hits if hit["picture"]]
        assert len(shown) == 2 and shown[0]["page"] == page and opened(made, shown[0]["url"]) == data
    assert [hit["picture"] for hit in made.search(store_id, WORDS)["data"]].count("image/png") == 2  # one was too narrow to be seen


def test_a_citation_opens_the_picture() -> None:
    made = world()
    store_id = stored(made)
    tools = [{"type": "file_search", "vector_store_ids": [store_id]}]
    messages = [{"role": "user", "content": WORDS}]
    answer = made.post("/chat/completions", model="tiny", tools=tools, messages=messages)
    cited: Any = answer["choices"][0]["message"]["annotations"][0]
    assert cited["picture"] == "image/png" and opened(made, cited["url"]) == OWL


def test_without_a_model_the_words_find_it_all_the_same() -> None:
    made = world()
    store_id = stored(made)
    known = replace(made.known, retriever=KnowledgeSearch(made.known.store, WordEmbedder()))
    blind = World(ready(FakeEngine(says("", TEXT)), TEXT, known)[0], known)
    assert any(hit["picture"] for hit in blind.search(store_id, WORDS)["data"])
