"""A model of pictures with all that serves it: an engine of its own, what reads prompts, and what decodes files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.api import ImageEngine, ImageInfo
from retrieval.images.decoder import ImageDecoder
from server.images.prompts import PromptReader

DEFAULTS = "generation_config.json"  # in a pipeline's folder; ours, in words of diffusers


@dataclass(frozen=True, slots=True)
class ImageDefaults:
    """Of requests that do not say."""

    steps: int
    guidance: float


@dataclass(frozen=True)
class ImageModel:
    name: str  # what clients call it
    engine: ImageEngine
    prompts: PromptReader
    decoder: ImageDecoder  # of images that are to be changed, with their transparency
    defaults: ImageDefaults

    @property
    def info(self) -> ImageInfo:
        return self.engine.info

    @property
    def sizes(self) -> str:
        """Which pictures it makes, in words."""
        usual, others = f"{self.info.width}x{self.info.height}", self.info.others
        if others is None:
            return f"{usual} pixels"
        return f"{usual} pixels, or of other {others}"

    def size_of(self, said: str | None) -> tuple[int, int]:
        """Width and height of what a request calls `WxH`, auto or nothing. Raises ValueError for what it does not make."""
        usual, others = (self.info.width, self.info.height), self.info.others
        if said in (None, "auto"):
            return usual
        width, height = map(int, said.split("x"))
        if (width, height) != usual and (others is None or not others.fit(width, height)):
            raise ValueError(f"{self.name} makes pictures of {self.sizes}, not {said}")
        return width, height

    def positions(self, size: tuple[int, int]) -> int:
        """That the denoiser computes of a picture so large."""
        return self.info.positions * size[0] * size[1] // (self.info.width * self.info.height)


def read_defaults(directory: Path, info: ImageInfo) -> ImageDefaults:
    """Those of the folder, or else of its pipeline's makers. Raises ValueError."""
    file = directory / DEFAULTS
    said: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if unknown := said.keys() - {"num_inference_steps", "guidance_scale"}:
        raise ValueError(f"{DEFAULTS}: nobody reads {', '.join(sorted(unknown))}")
    steps = said.get("num_inference_steps", min(info.usual.steps, info.steps))
    guidance = said.get("guidance_scale", info.usual.guidance)
    if type(steps) is not int or not 1 <= steps <= info.steps:
        raise ValueError(f"{DEFAULTS}: num_inference_steps must be between 1 and {info.steps}, not {steps!r}")
    if type(guidance) not in (int, float):
        raise ValueError(f"{DEFAULTS}: guidance_scale must be a number, not {guidance!r}")
    return ImageDefaults(steps, float(guidance))
