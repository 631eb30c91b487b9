"""Uploads in parts to a real server process, through the official SDK."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import BadRequestError, OpenAI

from tests.server.conftest import Running

WORDS = b"# Tides\n\nThe tide in the harbour of Saint-Malo rises by thirteen metres.\n\n" + b"Boats wait for the water. " * 60_000


@pytest.fixture
def openai(server: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_a_file_in_chunks(openai: OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "tides.md"
    path.write_bytes(WORDS)
    digest = hashlib.md5(WORDS).hexdigest()
    done = openai.uploads.upload_file_chunked(file=path, mime_type="text/markdown", purpose="assistants", part_size=400_000, md5=digest)
    assert done.status == "completed" and done.file is not None and done.file.bytes == len(WORDS) == done.bytes
    assert openai.files.content(done.file.id).read() == WORDS
    same = openai.uploads.upload_file_chunked(
        file=WORDS, filename="again.md", bytes=len(WORDS), mime_type="text/markdown", purpose="user_data"
    )
    assert same.file is not None and same.file.purpose == "user_data" and same.file.filename == "again.md"


def test_the_file_can_be_searched(openai: OpenAI) -> None:
    words = WORDS[:70]
    upload = openai.uploads.create(bytes=len(words), filename="tides.md", mime_type="text/markdown", purpose="assistants")
    parts = [openai.uploads.parts.create(upload.id, data=words[at : at + 30]) for at in range(0, len(words), 30)]
    file = openai.uploads.complete(upload.id, part_ids=[part.id for part in parts]).file
    assert file is not None
    store = openai.vector_stores.create()
    member = openai.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id)
    assert member.status == "completed"
    found = next(iter(openai.vector_stores.search(store.id, query="How high is the tide?")))
    assert "Saint-Malo" in found.content[0].text and found.filename == "tides.md"


def test_a_cancelled_upload(openai: OpenAI) -> None:
    upload = openai.uploads.create(bytes=4, filename="a.txt", mime_type="text/plain", purpose="assistants")
    part = openai.uploads.parts.create(upload.id, data=b"text")
    assert openai.uploads.cancel(upload.id).status == "cancelled"
    with pytest.raises(BadRequestError, match="cancelled"):
        openai.uploads.complete(upload.id, part_ids=[part.id])
