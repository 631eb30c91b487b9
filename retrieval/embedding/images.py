"""Vectors of images, in the space of those of texts: decoding, preparing and the engine's encoder."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from engine.api import Encoder, Pixels, ReadsImages
from retrieval.api import Seen
from retrieval.images.decoder import ImageDecoder
from retrieval.images.preprocess import preprocess
from retrieval.images.settings import Preprocessing, read_preprocessing


class EncoderSight:
    """Implements retrieval.api.ImageEmbedder."""

    def __init__(self, encoder: Encoder, reads: ReadsImages, settings: Preprocessing) -> None:
        """`encoder`: one that `reads` images; whoever opened it closes it."""
        self._encoder, self._reads, self._settings, self._decoder = encoder, reads, settings, ImageDecoder()

    async def embed(self, images: Sequence[bytes]) -> Seen:
        prepared = await asyncio.gather(*map(self._prepare, images))
        return Seen(await self._encoder.embed(prepared), sum(map(self._reads.rows_of, prepared)))

    def close(self) -> None:
        self._decoder.close()

    async def _prepare(self, image: bytes) -> Pixels:
        pixels = await self._decoder.decode(image)
        return Pixels(await asyncio.to_thread(preprocess, pixels, self._settings))


def open_sight(encoder: Encoder, directory: Path) -> EncoderSight | None:
    """None for an encoder of texts alone. Raises ValueError where the folder does not say how images are prepared."""
    reads = encoder.info.images
    return None if reads is None else EncoderSight(encoder, reads, read_preprocessing(directory))
