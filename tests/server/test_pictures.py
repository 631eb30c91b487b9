"""Documents with pictures, behind a real server with a tiny CLIP: a text finds a picture by what it shows, and its bytes can be opened."""

import io
import random
from collections.abc import Iterator
from typing import Any

import docx
import httpx
import pytest
from docx.shared import Inches
from openai import OpenAI
from PIL import Image

from tests.server.conftest import Running, running
from tests.server.test_colored_shapes import DATA, NUMBER_WORDS
from tests.tiny_models.colored_shapes import KINDS, caption, draw


def file_of(image: Image.Image, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def word_with(images: list[Image.Image]) -> bytes:
    document = docx.Document()
    for number, image in enumerate(images, 1):
        document.add_paragraph(f"Plate {number} follows.")
        document.add_picture(io.BytesIO(file_of(image)), Inches(1))
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    models = ("--model", f"spells={NUMBER_WORDS}", "--image-embedding-model", str(DATA), "--threads", "1")
    home = tmp_path_factory.mktemp("server")
    with running(home / "log", *models, "--database-url", str(home / "stoa.db")) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Running) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def stored(client: OpenAI, files: dict[str, bytes]) -> tuple[str, dict[str, str]]:
    """The id of a vector store of these files, and the names of the files by their ids."""
    ids = {client.files.create(file=(name, content), purpose="assistants").id: name for name, content in files.items()}
    store = client.vector_stores.create(name="pictures")
    client.vector_stores.file_batches.create_and_poll(store.id, file_ids=list(ids), poll_interval_ms=100)
    listed = client.vector_stores.files.list(store.id).data
    assert {one.status for one in listed} == {"completed"}, [one.last_error for one in listed]
    return store.id, ids


def found(client: OpenAI, store_id: str, query: str) -> list[Any]:
    return client.vector_stores.search(store_id, query=query, max_num_results=50).data


def test_a_text_finds_the_picture_that_shows_it(client: OpenAI, server: Running) -> None:
    rnd = random.Random(20_261_201)
    files = {f"{number}.png": file_of(draw(*kind, rnd)) for number, kind in enumerate(KINDS)}
    store_id, names = stored(client, {**files, "text.txt": b"A treaty was signed in the year 1648, and the war was over."})
    right = 0
    for number, kind in enumerate(KINDS):
        best = next(hit for hit in found(client, store_id, caption(*kind)) if hit.picture)
        right += names[best.file_id] == f"{number}.png"
    assert right >= 0.95 * len(KINDS)
    treaty = found(client, store_id, "When was the treaty signed?")
    assert treaty[0].filename == "text.txt" and treaty[0].picture is None


def test_pictures_of_a_document_are_found_and_opened_and_go_with_it(client: OpenAI, server: Running) -> None:
    rnd = random.Random(4)
    kinds = [("red", "circle"), ("green", "cross"), ("blue", "square")]
    images = [draw(*kind, rnd) for kind in kinds]
    store_id, names = stored(client, {"plates.docx": word_with(images)})
    url = ""
    for number, (kind, image) in enumerate(zip(kinds, images, strict=True), 1):
        best = next(hit for hit in found(client, store_id, caption(*kind)) if hit.picture)
        assert f"Plate {number} follows." in best.content[0].text and best.filename == "plates.docx"
        url = server.url + best.url
        shown = httpx.get(url)
        assert (shown.status_code, shown.headers["content-type"]) == (200, "image/png")
        assert Image.open(io.BytesIO(shown.content)).tobytes() == image.tobytes()
    assert httpx.get(url).status_code == 200
    client.vector_stores.files.delete(next(iter(names)), vector_store_id=store_id)
    assert not found(client, store_id, caption(*kinds[0])) and httpx.get(url).status_code == 404


def test_images_are_embedded_beside_the_model_of_texts(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"minilm", "colored-shapes"} <= set(names)
    assert len(client.embeddings.create(model="colored-shapes", input="a photo").data[0].embedding) == 48
    assert len(client.embeddings.create(model="minilm", input="a photo").data[0].embedding) == 384
