"""/v1/images/edits with a JSON body: images by URL or by the id of a file."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette

from retrieval.store import StoreOptions, open_store
from server.archive.database import open_archive
from tests.server.api.images.test_images import EDIT, TEXT, file_of, send
from tests.server.fake_images import FakeImageEngine, images
from tests.server.fakes import FakeEngine, ask, ready, says


def kept(folder: Path) -> tuple[Starlette, FakeImageEngine]:
    """With a database."""
    engine, database = FakeImageEngine(), open_store(folder / "stoa.db", StoreOptions())
    parts = {"images": images(engine), "archive": open_archive(database.transactions), "database": database}
    return ready(FakeEngine(says("Hi.", TEXT)), TEXT, parts=parts)[0], engine


def ref(file: bytes) -> dict[str, str]:
    return {"image_url": "data:image/png;base64," + base64.b64encode(file).decode()}


def test_images_come_as_json_too(tmp_path: Path) -> None:
    """By URL or by the id of a file; the engine is asked the same."""
    image, mask = file_of((6, 4)), file_of((6, 4), np.arange(24).reshape(4, 6) % 2 * 255)
    _, wanted = send(image=image, mask=mask, seed="3", strength="0.5")
    app, engine = kept(tmp_path)
    stored = ask(app, "POST", "/v1/files", data={"purpose": "vision"}, files={"file": ("in.png", image)}).json()["id"]
    for source in (ref(image), {"file_id": stored}):
        body = {"prompt": "a dog", "images": [source], "mask": ref(mask), "seed": 3, "strength": 0.5}
        answer = ask(app, "POST", EDIT, json=body)
        assert answer.status_code == 200, answer.text
        ours, theirs = engine.requests[-1], wanted.requests[0]
        assert (ours.prompt, ours.seed) == (theirs.prompt, theirs.seed) and ours.start is not None and theirs.start is not None
        assert np.array_equal(ours.start.pixels, theirs.start.pixels)
        assert ours.start.mask is not None and theirs.start.mask is not None and (ours.start.mask == theirs.start.mask).all()


@pytest.mark.parametrize(
    ("given", "param", "told"),
    [
        ({"images": [ref(b"x"), ref(b"y")]}, "images", "one image is changed at a time, and there are 2"),
        ({"images": []}, "images", "at least 1"),
        ({"images": [{}]}, "images.0", "one of image_url"),
        ({"images": [{"image_url": "https://example.com/a.png"}]}, "images.0.image_url", "nothing is fetched"),
        ({"images": [ref(b"no image")]}, "images.0", "damaged"),
        ({"images": [{"file_id": "file-1"}]}, "images.0.file_id", ""),
        ({"mask": {"file_id": "a", "image_url": "b"}}, "mask", "one of image_url"),
        ({"colour": 1}, "colour", ""),
    ],
)
def test_json_that_cannot_be_read_is_named(given: dict[str, Any], param: str, told: str, tmp_path: Path) -> None:
    app, engine = kept(tmp_path)
    answer = ask(app, "POST", EDIT, json={"prompt": "a dog", "images": [ref(file_of((6, 4)))], **given})
    error = answer.json()["error"]
    assert answer.status_code in (400, 404) and error["param"] == param and told in error["message"] and not engine.requests
