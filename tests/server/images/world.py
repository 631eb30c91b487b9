"""A tiny pipeline as the server opens it, and the same asked of diffusers."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.api import ImageRequest, StartPicture
from server.api.images.request import to_order
from server.api.images.request_types import EditForm
from server.images.model import ImageModel
from server.runtime.loading.images import open_image_model
from server.runtime.settings import Settings
from server.weights.progress import no_progress

WIDTH, HEIGHT, STEPS, SEED = 32, 48, 5, 9


@contextmanager
def opened(folder: Path) -> Iterator[ImageModel]:
    model = open_image_model(Settings(threads=1), str(folder), no_progress)
    try:
        yield model
    finally:
        asyncio.run(model.engine.close())
        model.decoder.close()


def requests(model: ImageModel, start: StartPicture | None = None, **asked: Any) -> list[ImageRequest]:
    fields = EditForm(**{"prompt": "a cat zoo", "steps": STEPS, "seed": SEED, "size": f"{WIDTH}x{HEIGHT}", **asked})
    return list(to_order(model, fields, fields.prompt, "image_edit", start).requests)


def theirs(made: Any, **asked: Any) -> Any:
    usual = {"prompt": "a cat zoo", "num_inference_steps": STEPS, "width": WIDTH, "height": HEIGHT}
    if "PixArt" in type(made).__name__:
        usual |= {"use_resolution_binning": False, "clean_caption": False}
    return np.asarray(made(**usual | asked, generator=torch.Generator().manual_seed(SEED)).images[0])
