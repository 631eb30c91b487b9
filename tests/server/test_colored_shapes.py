"""A tiny CLIP that was trained on pictures of coloured shapes (tests/tiny_models/colored_shapes.py), behind a real server: a text finds the
pictures of what it says, and a picture its text, by the vectors of /v1/embeddings."""

import base64
import io
import random
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from openai import OpenAI
from PIL import Image

from server.weights.pull import pull
from tests.server.conftest import Running, running
from tests.tiny_models.colored_shapes import KINDS, caption, draw

DATA = pull("colored-shapes")
NUMBER_WORDS = pull("number-words-mixtral")
ROUNDS = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    models = ("--model", f"spells={NUMBER_WORDS}", "--embedding-model", str(DATA), "--threads", "1")
    home = tmp_path_factory.mktemp("server")
    with running(home / "log", *models, "--database-url", str(home / "stoa.db")) as server:
        yield server


def data_url(image: Image.Image, form: str = "PNG") -> str:
    file = io.BytesIO()
    image.save(file, form)
    return f"data:image/{form.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def picture_of(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def embed(server: Running, items: list[Any]) -> tuple[NDArray[np.float32], int]:
    """Vectors, and the tokens that are counted; by the official client."""
    client = OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    found = client.embeddings.create(model="colored-shapes", input=items)
    return np.array([item.embedding for item in found.data], np.float32), found.usage.prompt_tokens


def test_a_text_finds_its_pictures_and_a_picture_its_text(server: Running) -> None:
    rnd = random.Random(20_261_130)  # pictures that training has not seen
    texts, _ = embed(server, [caption(*kind) for kind in KINDS])
    right_texts = right_pictures = 0
    for _ in range(ROUNDS):
        pictures, rows = embed(server, [picture_of(data_url(draw(*kind, rnd))) for kind in KINDS])
        assert rows == len(KINDS) * 17
        scores = texts @ pictures.T
        right_pictures += (scores.argmax(1) == np.arange(len(KINDS))).sum()
        right_texts += (scores.argmax(0) == np.arange(len(KINDS))).sum()
    assert right_pictures >= 0.95 * ROUNDS * len(KINDS)
    assert right_texts >= 0.95 * ROUNDS * len(KINDS)


def test_texts_and_pictures_in_one_request(server: Running) -> None:
    image = draw("blue", "square", random.Random(1))
    parts = [caption("blue", "square"), picture_of(data_url(image)), {"type": "text", "text": caption("red", "circle")}]
    (blue, picture, red), _ = embed(server, parts)
    assert picture @ blue > picture @ red + 0.1
    np.testing.assert_allclose(np.linalg.norm([blue, picture, red], axis=1), 1, atol=1e-5)
    alone, _ = embed(server, [picture_of(data_url(image))])
    np.testing.assert_allclose(alone[0], picture, atol=1e-5)


@pytest.mark.parametrize("form", ["JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_other_formats_and_sizes(form: str, server: Running) -> None:
    image = draw("green", "circle", random.Random(2))
    (png, other), _ = embed(server, [picture_of(data_url(image)), picture_of(data_url(image.resize((320, 320)), form))])
    assert png @ other > 0.9


PNG = "data:image/png;base64,"
WRONG = {
    "https://example.com/a.png": ("invalid_image_url", "nothing is fetched"),
    "file:///etc/passwd": ("invalid_image_url", "must be a data URL"),
    PNG + "%%%": ("invalid_base64_image", "is not base64"),
    PNG: ("empty_image_file", "is empty"),
    PNG + base64.b64encode(b"hello").decode(): ("unsupported_image_media_type", "no image in one of PNG"),
    "data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode(): ("unsupported_image_media_type", "the file is SVG"),
    data_url(Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8)))[:20_002]: (
        "image_parse_error",
        "the image is damaged",
    ),
}


@pytest.mark.parametrize("url", WRONG, ids=[code for code, _ in WRONG.values()])
def test_what_is_refused(url: str, server: Running) -> None:
    code, message = WRONG[url]
    body = {"model": "colored-shapes", "input": [picture_of(url)]}
    answer = httpx.post(f"{server.url}/v1/embeddings", json=body, timeout=60)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, code)
    assert message in error["message"] and error["param"].startswith("input")
