"""The knowledge base of a real server process with MiniLM, through the official SDK."""

import base64
import math
import socket
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from openai import APIStatusError, BadRequestError, NotFoundError, OpenAI

from tests.server.conftest import Running, running

CATS = b"# Cats\n\nCats sleep for sixteen hours a day.\n\n# Dogs\n\nDogs need to be walked every morning and evening."
MOON = b"The Moon moves around the Earth once in 27.3 days. Its surface is covered with grey dust."
NOT_TEXT = b"\x7fELF\x02\x01\x01" + bytes(200)


@pytest.fixture
def openai(server: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_upload_and_poll(openai: OpenAI) -> None:
    store = openai.vector_stores.create(name="animals")
    member = openai.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=("cats.md", CATS), attributes={"kind": "animal"})
    assert member.status == "completed" and member.last_error is None and member.attributes == {"kind": "animal"}
    found = openai.vector_stores.search(store.id, query="How long do cats sleep?", max_num_results=3)
    best = next(iter(found))
    assert "sixteen hours" in best.content[0].text and best.filename == "cats.md" and 0 < best.score <= 1
    assert openai.files.content(best.file_id).read() == CATS
    (content,) = openai.vector_stores.files.content(best.file_id, vector_store_id=store.id)
    assert "walked every morning" in (content.text or "")
    assert openai.vector_stores.retrieve(store.id).file_counts.completed == 1
    assert openai.vector_stores.delete(store.id).deleted
    with pytest.raises(NotFoundError):
        openai.vector_stores.retrieve(store.id)


def test_create_and_poll(openai: OpenAI) -> None:
    file = openai.files.create(file=("moon.txt", MOON), purpose="assistants", expires_after={"anchor": "created_at", "seconds": 3600})
    assert file.expires_at == file.created_at + 3600 and file.status == "processed"
    store = openai.vector_stores.create(metadata={"a": "b"}, expires_after={"anchor": "last_active_at", "days": 1})
    strategy = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 20}}
    member = openai.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id, chunking_strategy=strategy)  # pyright: ignore[reportArgumentType]
    assert member.status == "completed" and member.chunking_strategy and member.chunking_strategy.to_dict() == strategy
    filtered = openai.vector_stores.search(store.id, query="dust", filters={"type": "eq", "key": "kind", "value": "x"})
    assert list(filtered) == []
    assert openai.files.delete(file.id).deleted
    assert list(openai.vector_stores.files.list(store.id)) == [] == list(openai.vector_stores.search(store.id, query="dust"))


def test_batches(openai: OpenAI) -> None:
    store = openai.vector_stores.create()
    files = [("cats.md", BytesIO(CATS)), ("moon.txt", BytesIO(MOON)), ("program", BytesIO(NOT_TEXT)), ("empty.txt", BytesIO(b" "))]
    batch = openai.vector_stores.file_batches.upload_and_poll(store.id, files=files)
    assert (batch.status, batch.file_counts.completed, batch.file_counts.failed) == ("completed", 2, 2)
    failed = list(openai.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id, filter="failed"))
    assert {member.last_error.code for member in failed if member.last_error} == {"unsupported_file", "invalid_file"}
    assert all(member.last_error and member.last_error.message for member in failed)
    pages = [member.id for member in openai.vector_stores.files.list(store.id, limit=1, order="asc")]
    assert len(pages) == 4  # the SDK asks for the next page by itself
    hits = openai.vector_stores.search(
        store.id,
        query=["the moon", "walking the dog"],
        ranking_options={"ranker": "none", "score_threshold": 0.1},
        extra_body={"ranking_options": {"hybrid_search": {"embedding_weight": 1.0, "text_weight": 0.5}}},
    )
    assert {hit.filename for hit in hits} == {"cats.md", "moon.txt"}


def test_embeddings(openai: OpenAI) -> None:
    texts = ["A cat sleeps.", "A kitten naps.", "Interest rates rose."]
    answer = openai.embeddings.create(model="minilm", input=texts)
    cat, kitten, rates = (np.array(item.embedding) for item in answer.data)
    assert len(cat) == 384 and math.isclose(float(np.linalg.norm(cat)), 1, abs_tol=1e-3) and cat @ kitten > 0.5 > cat @ rates
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 9
    coded = openai.embeddings.create(model="minilm", input=texts[0], encoding_format="base64", dimensions=64).data[0].embedding
    short = np.frombuffer(base64.b64decode(str(coded)), "<f4")
    assert short == pytest.approx(cat[:64] / np.linalg.norm(cat[:64]), abs=1e-4)
    by_token = openai.embeddings.create(model="minilm", input=[101, 1037, 4937, 25126, 1012, 102]).data[0].embedding
    assert np.array(by_token) @ cat == pytest.approx(1, abs=0.01)  # [CLS] a cat sleeps . [SEP]
    with pytest.raises(BadRequestError, match="254"):
        openai.embeddings.create(model="minilm", input="word " * 300)


def test_rerank(server: Running) -> None:
    body = {"query": "How long do cats sleep?", "documents": [MOON.decode(), CATS.decode()], "top_n": 1}
    (best,) = httpx.post(f"{server.url}/v1/rerank", json=body, timeout=30).json()["results"]
    assert best["index"] == 1 and 0.5 < best["relevance_score"] <= 1


def test_two_gigabytes_are_refused_before_they_are_sent(server: Running) -> None:
    """To a client that asks first, as curl does; others are told when they have sent everything."""
    head = f"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: {2 << 30}\r\n"
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=30) as connection:
        connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        answer = connection.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 413") and "100 Continue" not in answer


def test_a_file_that_is_too_large_is_told_so(smollm2: str, minilm: str, tmp_path: Path) -> None:
    limit = ("--max-upload-bytes", "1000000")
    with running(tmp_path / "log", "--model", smollm2, *limit) as server, OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        with pytest.raises(APIStatusError, match="larger than 1000000 bytes") as refused:
            client.files.create(file=("big.txt", b"x" * 5_000_000), purpose="assistants")
        assert refused.value.status_code == 413 and list(client.files.list()) == []


def test_uploads_survive_the_end_of_the_process(smollm2: str, minilm: str, tmp_path: Path) -> None:
    database = ("--database-url", str(tmp_path / "kb.db"))
    with running(tmp_path / "log", "--model", smollm2, *database) as server, OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        store = client.vector_stores.create(name="kb")
        files = [(f"{i}.txt", f"Document {i} tells of subject{i}. {'And of much more. ' * 40}".encode()) for i in range(20)]
        ids = [client.files.create(file=file, purpose="assistants").id for file in files]
        client.vector_stores.file_batches.create(store.id, file_ids=ids)
        server.process.kill()
    with running(tmp_path / "log", "--model", smollm2, *database) as server, OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        deadline = time.monotonic() + 40
        while client.vector_stores.retrieve(store.id).status == "in_progress" and time.monotonic() < deadline:
            time.sleep(0.1)
        assert client.vector_stores.retrieve(store.id).file_counts.completed == 20
        assert next(iter(client.vector_stores.search(store.id, query="subject7"))).filename == "7.txt"
