"""A model of pictures that has learned nothing: 6 wide and 4 high, as grey as the seed says, brighter with each step; what is changed keeps
what its mask does not let through."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.api import EngineError, EngineStopped, Guidance, ImageInfo, ImageProgress, ImageRequest, ImageStats, ReadsLabels, UsualRequest
from retrieval.images.decoder import ImageDecoder
from server.images.model import ImageDefaults, ImageModel
from server.images.prompts import LabelReader

WIDTH, HEIGHT, STEPS = 6, 4, 10
NAMES = {0: "cat, house cat", 1: "dog", 2: "electric eel", 3: "eel"}


@dataclass
class FakeImageEngine:
    """Remembers who asked for what."""

    pause: float = 0.0  # seconds between steps
    refusal: EngineError | None = None
    guidance: Guidance = "computed"
    fills: bool = False
    requests: list[ImageRequest] = field(default_factory=list[ImageRequest])
    running: int = 0
    aborts: int = 0
    alive: bool = True

    @property
    def info(self) -> ImageInfo:
        reads, usual = ReadsLabels(len(NAMES)), UsualRequest(steps=STEPS, guidance=3.0)
        return ImageInfo(
            width=WIDTH,
            height=HEIGHT,
            channels=3,
            positions=24,
            reads=reads,
            steps=100,
            usual=usual,
            guidance=self.guidance,
            fills=self.fills,
        )

    async def generate(self, request: ImageRequest) -> AsyncGenerator[ImageProgress]:
        self.requests.append(request)
        if self.refusal is not None:
            raise self.refusal
        self.running, finished = self.running + 1, False
        steps = request.steps if request.start is None else int(request.steps * request.start.strength)
        try:
            for step in range(1, steps + 1):
                await asyncio.sleep(self.pause)
                if not self.alive:
                    raise EngineStopped("the engine is shutting down")
                finished = step == steps
                seen = finished or step in request.previews
                yield ImageProgress(step=step, steps=steps, pixels=painted(request, step) if seen else None)
        finally:
            self.running -= 1
            self.aborts += not finished

    def stats(self) -> ImageStats:
        return ImageStats(running=self.running, aborts=self.aborts)

    async def close(self) -> None:
        self.alive = False


def painted(request: ImageRequest, step: int) -> NDArray[np.uint8]:
    """Always of that size."""
    pixels = np.full((HEIGHT, WIDTH, 3), request.seed % 100 + step, np.uint8)
    if request.start is not None and request.start.mask is not None:
        pixels[~request.start.mask] = request.start.pixels[~request.start.mask]
    return pixels


def images(engine: FakeImageEngine) -> ImageModel:
    return ImageModel("brush", engine, LabelReader(NAMES), ImageDecoder(workers=1, bands="RGBA"), ImageDefaults(STEPS, 3.0))
