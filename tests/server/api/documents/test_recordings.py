"""Recordings in vector stores: hits, citations and chunks tell when something is said, and where that can be heard."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from retrieval.api import Spoken
from retrieval.ingest.spoken import SpokenParser
from retrieval.ingest.worker import Ingestor, WorkerOptions
from tests.server.api.documents.test_vector_stores import World
from tests.server.fake_knowledge import LineParser, knowledge, settle
from tests.server.fakes import FakeEngine, ready, says, text

TEXT = text()
OWLS = "Owls hunt at night with their ears."
SAID = (
    Spoken(text=" Welcome to this talk about the animals of the forest, and thank you all for coming.", start=0.0, end=5.5),
    Spoken(text=f" {OWLS}", start=62.25, end=66.5),
)


@dataclass
class Ears:
    async def read(self, content: AsyncIterator[bytes]) -> Sequence[Spoken]:
        assert b"".join([part async for part in content])
        return SAID


def world(answer: str) -> World:
    known = knowledge()
    parser = SpokenParser(LineParser(), Ears())
    ingestor = Ingestor(known.store, parser, known.embedder, options=WorkerOptions(poll=0.05))
    known = replace(known, parser=parser, ingestor=ingestor)
    return World(ready(FakeEngine(says(answer, TEXT), context=4096), TEXT, known)[0], known)


def ingested(made: World) -> tuple[str, str]:
    file_id = made.upload("sound", "talk.mp3")
    store_id = made.post("/vector_stores", file_ids=[file_id])["id"]
    settle(made.known, store_id)
    return store_id, file_id


def times(found: dict[str, Any]) -> tuple[float, float, str]:
    return found["start_seconds"], found["end_seconds"], found["url"]


def test_hits_chunks_and_citations_carry_times() -> None:
    made = world(f"{OWLS} [1]")
    store_id, file_id = ingested(made)
    expected = (62.25, 66.5, f"/v1/files/{file_id}/content#t=62.25,66.5")
    hit = made.search(store_id, "Do owls hunt at night with their ears?")["data"][0]
    assert times(hit) == expected and OWLS in hit["content"][0]["text"]
    assert times(made.get(f"/vector_stores/{store_id}/chunks/{hit['chunk_id']}")) == expected
    tools = [{"type": "file_search", "vector_store_ids": [store_id]}]
    asked = {"model": "tiny", "tools": tools, "include": ["file_search_call.results"]}
    chat = made.post("/chat/completions", **asked, messages=[{"role": "user", "content": "Do owls hunt at night with their ears?"}])
    assert times(chat["choices"][0]["message"]["annotations"][0]) == expected
    assert times(chat["file_search_call"]["results"][0]) == expected
    answer = made.post("/responses", **asked, input="Do owls hunt at night with their ears?", store=False)
    call, message = answer["output"]
    assert times(call["results"][0]) == times(message["content"][0]["annotations"][0]) == expected


def test_a_text_has_no_times_and_its_page_is_in_the_link() -> None:
    made = world("Hi.")
    store_id = made.store("A lamp gives light.")
    hit = made.search(store_id, "lamp")["data"][0]
    assert times(hit) == (None, None, f"/v1/files/{hit['file_id']}/content#page=1") and hit["picture"] is None
