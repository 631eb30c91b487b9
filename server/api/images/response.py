"""From finished pictures to the answer, and to events."""

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from server.api.images import types as wire
from server.api.images.request import ImageOrder
from server.http.warnings import to_warning_objects
from server.images.files import to_file
from server.images.making import Pixels, Steps


async def to_images(order: ImageOrder, pictures: Sequence[Pixels]) -> wire.Images:
    files = await asyncio.gather(*(asyncio.to_thread(to_file, pixels, order.form) for pixels in pictures))
    data = [_image(order, file, request.seed) for file, request in zip(files, order.requests, strict=True)]
    warnings = to_warning_objects(order.warnings)
    return wire.Images(created=int(time.time()), data=data, usage=usage(order), warnings=warnings, **_look(order))


async def stream_events(order: ImageOrder, steps: Steps) -> AsyncGenerator[bytes]:
    """Of one picture: as it is seen on the way, and finished."""
    shown = 0
    async with aclosing(steps):
        async for step in steps:
            if step.pixels is not None:
                encoded = _encoded(await asyncio.to_thread(to_file, step.pixels, order.form))
                event = _completed(order, encoded) if step.finished else _partial(order, encoded, shown)
                shown += 1
                yield f"event: {event.type}\ndata: {event.model_dump_json()}\n\n".encode()


def usage(order: ImageOrder) -> wire.Usage:
    read, made = order.text_tokens + order.image_tokens, order.positions * len(order.requests)
    details = wire.InputTokens(text_tokens=order.text_tokens, image_tokens=order.image_tokens)
    return wire.Usage(input_tokens=read, input_tokens_details=details, output_tokens=made, total_tokens=read + made)


def _image(order: ImageOrder, file: bytes, seed: int) -> wire.Image:
    encoded = _encoded(file)
    if order.as_url:
        return wire.Image(url=f"data:{order.form.media_type};base64,{encoded}", seed=seed)
    return wire.Image(b64_json=encoded, seed=seed)


def _partial(order: ImageOrder, encoded: str, index: int) -> wire.PartialImage:
    kind: Any = f"{order.task}.partial_image"
    return wire.PartialImage(type=kind, b64_json=encoded, created_at=int(time.time()), partial_image_index=index, **_look(order))


def _completed(order: ImageOrder, encoded: str) -> wire.Completed:
    kind: Any = f"{order.task}.completed"
    seed = order.requests[0].seed
    return wire.Completed(type=kind, b64_json=encoded, created_at=int(time.time()), seed=seed, usage=usage(order), **_look(order))


def _look(order: ImageOrder) -> dict[str, Any]:
    return {"output_format": order.form.format, "quality": order.quality, "size": "{}x{}".format(*order.size)}


def _encoded(file: bytes) -> str:
    return base64.b64encode(file).decode()
