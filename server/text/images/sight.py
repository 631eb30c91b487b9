"""Sees images: decodes their files, and prepares them for one model."""

import asyncio
from dataclasses import dataclass, field

from engine.api import ImageTiles, VisionInfo
from retrieval.images.decoder import ImageDecoder
from server.core.messages import SeenImage, SeenTiles
from server.text.images.processor import Part, Processor


@dataclass(frozen=True)
class Sight:
    """Of a chat model with eyes."""

    vision: VisionInfo
    processor: Processor
    decoder: ImageDecoder = field(default_factory=ImageDecoder)

    async def see(self, data: bytes, *, low: bool) -> SeenImage:
        """`data`: a file. Raises ImageError and DecoderFailed."""
        pixels = await self.decoder.decode(data)
        parts = await asyncio.to_thread(self.processor, pixels, low=low)
        return SeenImage(tuple(map(self._counted, parts)))

    def close(self) -> None:
        self.decoder.close()

    def _counted(self, part: Part) -> str | SeenTiles:
        return SeenTiles(part, self.vision.rows_of(part)) if isinstance(part, ImageTiles) else part
