"""A server whose model reads images, as far as the text side goes: a real tokenizer and a real processor before an engine that knows its
lines."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from starlette.applications import Starlette

from engine.api import VisionInfo
from server.text.images.families import read_processor
from server.text.images.sight import Sight
from server.text.tokenizer import ChatTokenizer, load_tokenizer
from server.weights.catalog import TINY
from tests.server.fakes import FakeEngine, ready

DATA = TINY["picture-questions"]
TEXT = load_tokenizer(DATA)
VISION = VisionInfo(marker=4, channels=3, patch=8, merge=1, side=32, rows=16)
SAYS = [*TEXT.encode("red"), *TEXT.stop_tokens]


def eyes(vision: VisionInfo = VISION) -> FakeEngine:
    return FakeEngine(lambda request: SAYS, vision=vision, vocab=200)


def seeing(engine: FakeEngine, text: ChatTokenizer = TEXT, folder: Path = DATA, **parts: Any) -> Starlette:
    assert engine.vision is not None
    return ready(engine, text, parts={"sight": Sight(engine.vision, read_processor(folder)), **parts})[0]


def noise(seed: int, width: int = 50, height: int = 40) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def file_of(image: Image.Image, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def data_url(image: Image.Image, form: str = "PNG") -> str:
    return f"data:image/{form.lower()};base64,{base64.b64encode(file_of(image, form)).decode()}"


def image_part(image: Image.Image, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url(image), **more}}


def text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
