"""/v1/classify behind real servers: pictures by labels of the request, and texts by a classifier with classes of its own."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.models.encoder_world import make, tokenizer
from tests.models.test_encoders import tiny
from tests.server.conftest import Running, running
from tests.server.test_colored_shapes import DATA, NUMBER_WORDS, data_url, picture_of
from tests.tiny_models.colored_shapes import KINDS, caption, draw

LABELS = [caption(*kind) for kind in KINDS]
ROUNDS = 4


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("server")
    moods = home / "moods"
    theirs = make(tiny("bert", architectures=["BertForSequenceClassification"], num_labels=2))
    theirs.config.id2label = {0: "glad", 1: "sad"}
    theirs.save_pretrained(moods)
    tokenizer().save_pretrained(moods)
    models = ("--model", f"spells={NUMBER_WORDS}", "--embedding-model", str(DATA), "--classifier-model", str(moods), "--threads", "1")
    with running(home / "log", *models, "--database-url", str(home / "stoa.db")) as server:
        yield server


def classify(server: Running, status: int = 200, path: str = "/v1/classify", **body: Any) -> Any:
    answer = httpx.post(f"{server.url}{path}", json=body, timeout=60)
    assert answer.status_code == status, answer.text
    return answer.json() if status == 200 else answer.json()["error"]


def test_pictures_by_labels(server: Running) -> None:
    rnd, right = random.Random(20_261_202), 0  # pictures that training has not seen
    for _ in range(ROUNDS):
        pictures = [picture_of(data_url(draw(*kind, rnd))) for kind in KINDS]
        answer = classify(server, model="colored-shapes", input=pictures, labels=LABELS)
        assert answer["labels"] == LABELS and answer["usage"]["total_tokens"] == 17 * len(KINDS)
        right += sum(one["label"] == wanted for one, wanted in zip(answer["data"], LABELS, strict=True))
        for i, one in enumerate(answer["data"]):
            assert (one["index"], one["num_classes"]) == (i, len(LABELS)) and sum(one["probs"]) == pytest.approx(1)
            assert one["label"] == LABELS[one["probs"].index(max(one["probs"]))]
    assert right >= 0.95 * ROUNDS * len(KINDS)


@pytest.mark.parametrize("path", ["/v1/classify", "/classify"])
def test_texts_by_the_classes_of_a_classifier(path: str, server: Running) -> None:
    answer = classify(server, path=path, input=["what is it", {"type": "text", "text": "a lamp"}])
    assert answer["model"] == "moods" and answer["labels"] == ["glad", "sad"]
    assert all(one["label"] in ("glad", "sad") and sum(one["probs"]) == pytest.approx(1) for one in answer["data"])
    alone = classify(server, path=path, model="moods", input="what is it")
    assert alone["data"][0]["probs"] == pytest.approx(answer["data"][0]["probs"], abs=1e-4)
    assert "moods" in [model["id"] for model in httpx.get(f"{server.url}/v1/models").json()["data"]]


IMAGE = picture_of(data_url(draw("red", "circle", random.Random(1))))
WRONG: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "another model": ({"model": "other", "input": "a"}, 404, "model", "there is moods, colored-shapes"),
    "labels for a classifier": ({"model": "moods", "input": "a", "labels": ["b"]}, 400, "labels", "classes of its own"),
    "no labels": ({"model": "colored-shapes", "input": [IMAGE]}, 400, "labels", "has no classes of its own"),
    "a text by labels": ({"input": "a", "labels": ["b"]}, 400, "input", "labels are for images"),
    "an image for a classifier of texts": ({"input": [IMAGE]}, 400, "input", "moods reads texts"),
    "no image": ({"input": [picture_of("data:image/png;base64,AAAA")], "labels": ["b"]}, 400, "input", "damaged, or no image"),
    "nothing": ({"input": []}, 400, "input", ""),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused(name: str, server: Running) -> None:
    body, status, field, message = WRONG[name]
    error = classify(server, status, **body)
    assert error["param"].split(".")[0] == field and message in error["message"]


def test_a_server_without_any_says_what_to_start_it_with(tmp_path: Path) -> None:
    models = ("--model", f"spells={NUMBER_WORDS}", "--embedding-model", "none", "--threads", "1")
    with running(tmp_path / "log", *models, "--database-url", str(tmp_path / "stoa.db")) as bare:
        assert "--classifier-model" in classify(bare, 400, input="a")["message"]
