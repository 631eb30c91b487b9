"""Images that come again are neither decoded nor prepared again, but for those that nobody has asked for in a while."""

import asyncio

import numpy as np

from engine.api import ImageTiles
from retrieval.images.decoder import Pixels
from server.core.messages import SeenImage, SeenTiles
from server.text.images.processor import Part
from server.text.images.seen import SeenImages, key_of, size_of
from server.text.images.sight import Sight
from tests.server.text.images.world import VISION, file_of, noise


def test_what_comes_again_is_remembered_for_its_owner() -> None:
    prepared = list[bool]()

    def processor(pixels: Pixels, *, low: bool) -> tuple[Part, ...]:
        prepared.append(low)
        return (ImageTiles(np.zeros((1, 3, 32, 32), np.float32)),)

    sight, file = Sight(VISION, processor), file_of(noise(1))

    async def see(*asked: tuple[bytes, bool, str]) -> None:
        for data, low, owner in asked:
            await sight.see(data, low=low, owner=owner)

    asyncio.run(see((file, False, "a"), (file, False, "a"), (file, True, "a"), (file, False, "b"), (file_of(noise(2)), False, "a")))
    sight.close()
    assert prepared == [False, True, False, False]


def test_the_least_recently_used_one_is_dropped() -> None:
    image = SeenImage((SeenTiles(ImageTiles(np.zeros((1, 3, 32, 32), np.float32)), 16),))
    seen = SeenImages(most=2 * size_of(image))
    first, second, third = (key_of("", name, low=False) for name in (b"1", b"2", b"3"))
    seen.put(first, image)
    seen.put(second, image)
    assert seen.get(first) is image
    seen.put(third, image)
    assert [seen.get(key) is not None for key in (first, second, third)] == [True, False, True]
