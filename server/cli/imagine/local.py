"""Makes a picture with a model that is loaded into this process, by the rules of /v1/images."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from engine.api import ImageProgress, StartPicture
from server.api.images.request import expect_makes_new, size_of, to_order
from server.api.images.request_types import EditForm
from server.cli.imagine.command import DEFAULT_MODEL, Imagine, ImagineCommand, Imagined
from server.cli.imagine.progress import Bar
from server.core.errors import bad_request, from_fields
from server.core.images import with_image_errors
from server.images.files import to_file
from server.images.making import picture
from server.images.model import ImageModel
from server.images.start import Look, MaskError, start_picture
from server.runtime.loading.images import open_image_model
from server.runtime.settings import Settings
from server.weights.progress import progress_bar


@asynccontextmanager
async def open_local(command: ImagineCommand, settings: Settings) -> AsyncGenerator[Imagine]:
    """Raises PullError, ValueError."""
    model = await asyncio.to_thread(_open, settings)
    try:
        yield partial(_imagine, model, command)
    finally:
        await model.engine.close()
        await asyncio.to_thread(model.decoder.close)


def _open(settings: Settings) -> ImageModel:
    with progress_bar() as progress:
        return open_image_model(settings, settings.image_model or DEFAULT_MODEL, progress)


async def _imagine(model: ImageModel, command: ImagineCommand, bar: Bar) -> Imagined:
    if command.image is None:
        expect_makes_new(model)
    start = None if command.image is None else await _start(model, command.image, command)
    order = to_order(model, _fields(command), command.prompt, "image_generation", start)
    request = order.requests[0]

    def watch(step: ImageProgress) -> None:
        bar.move(step.step, step.steps)

    pixels = await picture(model, request, watch)
    return Imagined(await asyncio.to_thread(to_file, pixels, order.form), request.seed, "{}x{}".format(*order.size))


def _fields(command: ImagineCommand) -> EditForm:
    try:
        return EditForm.model_validate(command.fields)
    except ValidationError as error:
        raise from_fields(error) from error


async def _start(model: ImageModel, image: Path, command: ImagineCommand) -> StartPicture:
    fields = _fields(command)
    files = [await asyncio.to_thread(file.read_bytes) for file in (image, command.mask) if file is not None]
    decoded = [await with_image_errors(model.decoder.decode(file), name) for file, name in zip(files, ("image", "mask"), strict=False)]
    try:
        look = Look(size_of(model, fields), model.info.channels)
        return start_picture(decoded[0], decoded[1] if len(decoded) > 1 else None, look, fields.strength)
    except MaskError as error:
        raise bad_request("mask", f"mask: {error}", "invalid_mask") from error
