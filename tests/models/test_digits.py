"""A tiny DiT that was trained to paint digits (tests/tiny_models/digits.py), on the engine: a classifier that has seen those of people
alone reads from its pictures what was asked for, only if every part and every step is right."""

import asyncio

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.api import ImageRequest, Label, StartPicture
from engine.embedded.images.load import ImageOptions, load_image_model
from server.weights.pull import pull
from tests.engine.test_images import picture, running
from tests.tiny_models.digits import NAMES, real_digits
from tests.tiny_models.digits_judge import read_digits

DATA = pull("digits", takes="pipelines")


def painted(requests: list[ImageRequest]) -> NDArray[np.int64]:
    """What is read of each."""

    async def run() -> list[NDArray[np.uint8]]:
        async with running(load_image_model(DATA, ImageOptions(threads=1))) as engine:
            return await asyncio.gather(*(picture(engine, request) for request in requests))

    return read_digits(np.stack(asyncio.run(run())))


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_what_is_asked_for_is_read(guidance: float) -> None:
    requests = [ImageRequest(prompt=Label(i % 10), steps=20, seed=1000 + i, guidance=guidance) for i in range(100)]
    right = painted(requests) == np.arange(100) % 10
    assert right.mean() >= 0.95, f"guidance {guidance}: {right.sum()} of {len(right)}"


def test_labels_have_names() -> None:
    assert load_image_model(DATA, ImageOptions(threads=1)).names == {number: f"{name}, {number}" for number, name in enumerate(NAMES)}


def test_a_digit_is_turned_into_another() -> None:
    """From image to image: what is there already shows through, the more the less strength there is."""
    pictures, labels = real_digits()
    start = ((pictures[:30, 0] + 1) * 127.5).round().byte().numpy()[..., None]

    def changed(strength: float) -> NDArray[np.int64]:
        return painted(
            [
                ImageRequest(prompt=Label(int(label + 1) % 10), steps=20, seed=i, start=StartPicture(pixels=pixels, strength=strength))
                for i, (pixels, label) in enumerate(zip(start, labels[:30], strict=True))
            ]
        )

    asked = (labels[:30].numpy() + 1) % 10
    assert (changed(1.0) == asked).mean() >= 0.9
    assert (changed(0.1) == labels[:30].numpy()).mean() >= 0.9
