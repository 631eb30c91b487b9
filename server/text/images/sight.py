"""Sees images: decodes their files, and prepares them for one model."""

import asyncio
from dataclasses import dataclass, field

from engine.api import ImageTiles, VisionInfo
from retrieval.images.decoder import ImageDecoder
from server.core.messages import SeenImage, SeenTiles
from server.text.images.processor import Part, Processor
from server.text.images.seen import SeenImages, key_of


@dataclass(frozen=True)
class Sight:
    """Of a vision-language model."""

    vision: VisionInfo
    processor: Processor
    decoder: ImageDecoder = field(default_factory=ImageDecoder)
    seen: SeenImages = field(default_factory=SeenImages)

    async def see(self, data: bytes, *, low: bool, owner: str = "") -> SeenImage:
        """`data`: a file. Raises ImageError and DecoderFailed."""
        key = await asyncio.to_thread(key_of, owner, data, low=low)
        if (known := self.seen.get(key)) is not None:
            return known
        pixels = await self.decoder.decode(data)
        parts = await asyncio.to_thread(self.processor, pixels, low=low)
        image = SeenImage(tuple(map(self._counted, parts)))
        self.seen.put(key, image)
        return image

    def close(self) -> None:
        self.decoder.close()

    def _counted(self, part: Part) -> str | SeenTiles:
        return SeenTiles(part, self.vision.rows_of(part)) if isinstance(part, ImageTiles) else part
