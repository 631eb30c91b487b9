"""A tiny DiT that was trained to paint digits (tests/tiny_models/digits.py), behind a real server, by the official client: what a
classifier that has seen those of people alone reads in its pictures is what was asked for in words."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from openai import BadRequestError, OpenAI
from PIL import Image

from tests.server.conftest import Running, running
from tests.tiny_models.digits import NAMES, real_digits
from tests.tiny_models.digits_judge import read_digits

EACH = 6  # pictures of each digit


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    models = ("--model", "spells=number-words-mixtral", "--embedding-model", "none", "--image-model", "digits", "--threads", "1")
    home = tmp_path_factory.mktemp("server")
    with running(home / "log", *models, "--database-url", str(home / "stoa.db")) as server:
        yield server


@pytest.fixture
def client(server: Running) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def pixels(encoded: str | None) -> NDArray[np.uint8]:
    assert encoded is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("L"))


def file_of(shades: NDArray[np.uint8], alpha: NDArray[np.uint8] | None = None) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(shades)
    if alpha is not None:
        image = image.convert("RGB")
        image.putalpha(Image.fromarray(alpha))
    image.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("prompt", ["a digit {name}", "{number}"])
def test_what_is_asked_for_in_words_is_read(client: OpenAI, prompt: str) -> None:
    made: list[NDArray[np.uint8]] = []
    for number, name in enumerate(NAMES):
        answer = client.images.generate(model="digits", prompt=prompt.format(name=name, number=number), n=EACH, extra_body={"seed": 100})
        made += [pixels(item.b64_json) for item in answer.data or ()]
    right = read_digits(np.stack(made)) == np.repeat(np.arange(10), EACH)
    assert right.mean() >= 0.95, f"{right.sum()} of {len(right)}"


def test_the_same_seed_gives_the_same_picture_in_company(client: OpenAI) -> None:
    alone = client.images.generate(prompt="seven", extra_body={"seed": 11})
    company = client.images.generate(prompt="seven", n=8, extra_body={"seed": 9})
    assert alone.data is not None and company.data is not None and alone.data[0].b64_json == company.data[2].b64_json


def test_a_stream_ends_with_the_picture(client: OpenAI) -> None:
    plain = client.images.generate(prompt="a three", extra_body={"seed": 4})
    found: list[Any] = list(client.images.generate(prompt="a three", stream=True, partial_images=2, extra_body={"seed": 4}))
    assert [event.type for event in found] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert plain.data is not None and found[-1].b64_json == plain.data[0].b64_json
    assert found[-1].usage.output_tokens == 16  # patches of 2 x 2 pixels


def test_digits_become_others(client: OpenAI) -> None:
    pictures, labels = real_digits()
    shades = ((pictures[:20, 0] + 1) * 127.5).round().byte().numpy()
    made = [
        client.images.edit(image=("digit.png", file_of(one)), prompt=NAMES[(label + 1) % 10], extra_body={"strength": 1.0, "seed": 5})
        for one, label in zip(shades, labels[:20].tolist(), strict=True)
    ]
    read = read_digits(np.stack([pixels(answer.data[0].b64_json) for answer in made if answer.data]))
    assert (read == (labels[:20].numpy() + 1) % 10).mean() >= 0.9


def test_behind_a_mask_nothing_changes(client: OpenAI) -> None:
    shades = ((real_digits()[0][0, 0] + 1) * 127.5).round().byte().numpy()
    alpha = np.full((8, 8), 255, np.uint8)
    alpha[:, 4:] = 0
    mask = file_of(shades, alpha)
    answer = client.images.edit(image=file_of(shades), mask=mask, prompt="four", extra_body={"seed": 5})
    made = pixels(answer.data[0].b64_json if answer.data else None)
    assert (made[:, :4] == shades[:, :4]).all() and (made[:, 4:] != shades[:, 4:]).any()


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # so the client calls it
def test_variations(client: OpenAI) -> None:
    shades = ((real_digits()[0][:10, 0] + 1) * 127.5).round().byte().numpy()
    answers = [client.images.create_variation(image=file_of(one), n=2, extra_body={"strength": 0.4, "seed": 1}) for one in shades]
    made = np.stack([pixels(item.b64_json) for answer in answers for item in answer.data or ()])
    assert (read_digits(made) == np.repeat(real_digits()[1][:10].numpy(), 2)).mean() >= 0.8


def test_what_it_cannot_paint(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="zero, one, two"):
        client.images.generate(prompt="a dog")
    with pytest.raises(BadRequestError, match="8x8") as refused:
        client.images.generate(prompt="seven", size="1024x1024")
    assert refused.value.param == "size"


def test_pictures_and_texts_at_once(server: Running, client: OpenAI) -> None:
    """Each from a model of its own; both are listed and measured."""
    assert client.completions.create(model="spells", prompt="12: ", max_tokens=20).choices[0].text
    listed = httpx.get(f"{server.url}/v1/models").json()["data"]
    assert [(model["id"], model["output_modalities"]) for model in listed] == [("spells", ["text"]), ("digits", ["image"])]
    before = server.metric("images_total")
    client.images.generate(prompt="one", n=2)
    assert server.metric("images_total") == before + 2 and server.metric("image_aborts_total") == 0
