"""From requests to pictures, step by step or as a whole. Whatever goes wrong becomes an ApiError."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.api import ImageProgress, ImageRequest
from server.core.errors import ErrorFields, map_engine_errors
from server.images.model import ImageModel

BLAME = ErrorFields(prompt="prompt", grammar="prompt")
Steps = AsyncGenerator[ImageProgress]
Pixels = NDArray[np.uint8]  # [H, W, C]


def made(model: ImageModel, request: ImageRequest) -> Steps:
    """Closing it aborts. Raises ApiError."""
    return map_engine_errors(cast(Steps, model.engine.generate(request)), BLAME)


async def picture(model: ImageModel, request: ImageRequest, watch: Callable[[ImageProgress], object] | None = None) -> Pixels:
    """`watch` is told of each step. Raises ApiError."""
    pixels: Pixels | None = None
    async with aclosing(made(model, request)) as steps:
        async for step in steps:
            pixels = step.pixels
            if watch is not None:
                watch(step)
    assert pixels is not None  # the last step has them
    return pixels


async def pictures(model: ImageModel, requests: Sequence[ImageRequest]) -> Sequence[Pixels]:
    """All at once, in the order of `requests`; where one fails, none is made. Raises ApiError."""
    tasks = [asyncio.create_task(picture(model, request)) for request in requests]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def preview_steps(steps: int, count: int) -> frozenset[int]:
    """After which of `steps` steps a picture is shown, `count` times before the end or as often as there are steps."""
    return frozenset(steps * (i + 1) // (count + 1) for i in range(count)) - {0, steps}
