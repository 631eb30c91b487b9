"""From a request or a form to the pictures that are to be made, and how they are to be sent."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from engine.api import ImageRequest, StartPicture
from server.api.images.guidance import guidance_of
from server.api.images.request_types import EditFields, ImageFields, Quality, StreamedFields
from server.api.images.types import Steps
from server.core.errors import bad_request, model_not_found
from server.core.request import RequestWarning
from server.http.warnings import hint_warnings
from server.images.files import FileForm
from server.images.making import preview_steps
from server.images.model import ImageModel
from server.images.prompts import PromptError, ReadPrompt
from server.runtime.runtime import Runtime

QUALITIES: dict[Quality, Steps] = {"low": "low", "high": "high", "hd": "high"}  # the rest: medium
SEEDS = 2**32  # that are chosen from where none is given
Task = Literal["image_generation", "image_edit"]  # as events are called


@dataclass(frozen=True, kw_only=True)
class ImageOrder:
    """`requests`: one for each picture."""

    model: ImageModel
    task: Task
    requests: Sequence[ImageRequest]
    form: FileForm
    as_url: bool
    quality: Steps
    stream: bool
    text_tokens: int
    warnings: Sequence[RequestWarning] = field(default_factory=tuple[RequestWarning, ...])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.model.info.size_of(self.requests[0])

    @property
    def positions(self) -> int:
        """Of each picture."""
        return self.model.positions(self.size)

    @property
    def image_tokens(self) -> int:
        """Of the image that is changed."""
        return self.positions if self.requests[0].start is not None else 0


def expect_image_model(runtime: Runtime, name: str | None) -> ImageModel:
    """Raises ApiError."""
    model = runtime.images
    if model is None:
        message = "model: this server has no model of pictures: start it with --image-model digits (STOA_IMAGE_MODEL)"
        raise bad_request("model", message, "no_image_model")
    if name is not None and runtime.real_name(name) != model.name:
        aliases = [alias for alias, real in runtime.aliases.items() if real == model.name]
        raise model_not_found(name, [model.name, *aliases])
    return model


def to_order(model: ImageModel, fields: ImageFields, prompt: str, task: Task, start: StartPicture | None = None) -> ImageOrder:
    """Raises ApiError for what cannot be honoured."""
    size = size_of(model, fields)
    stream, partial = _streaming(fields)
    read, guidance = _read(model, prompt, fields.negative_prompt), guidance_of(model, fields, prompt)
    quality = QUALITIES.get(fields.quality or "auto", "medium")
    steps = _steps(model, fields.steps, quality)
    run = steps if start is None else _run(model, steps, start.strength)
    request = ImageRequest(
        prompt=read.told,
        steps=steps,
        seed=secrets.randbelow(SEEDS) if fields.seed is None else fields.seed,
        guidance=guidance.computed,
        told_guidance=guidance.told,
        size=size,
        start=start,
        previews=preview_steps(run, partial),
    )
    return ImageOrder(
        model=model,
        task=task,
        requests=[replace(request, seed=request.seed + i) for i in range(fields.n or 1)],
        form=_file_form(fields),
        as_url=fields.response_format == "url",
        quality=quality,
        stream=stream,
        text_tokens=read.tokens,
        warnings=tuple(hint_warnings(fields)),
    )


def expect_makes_new(model: ImageModel) -> None:
    """Raises ApiError for a model that needs an image."""
    if model.info.fills:
        message = f"model: {model.name} fills in what is missing of images, and makes none from a prompt alone: use /v1/images/edits"
        raise bad_request("model", message, "unsupported")


def size_of(model: ImageModel, fields: ImageFields) -> tuple[int, int]:
    """Width and height. Raises ApiError."""
    try:
        return model.size_of(fields.size)
    except ValueError as error:
        raise bad_request("size", f"size: {error}; leave it out, or say auto", "unsupported_size") from error


def _read(model: ImageModel, prompt: str, negative: str | None) -> ReadPrompt:
    try:
        return model.prompts.read(prompt, negative)
    except PromptError as error:
        raise bad_request(error.field, f"{error.field}: {error}", "invalid_prompt") from error


def _steps(model: ImageModel, given: int | None, quality: Steps) -> int:
    most, usual = model.info.steps, model.defaults.steps
    if given is not None and given > most:
        raise bad_request("steps", f"steps: {model.name} takes at most {most} steps, not {given}", "too_many_steps")
    return given or {"low": max(1, usual // 2), "medium": usual, "high": min(most, usual * 2)}[quality]


def _run(model: ImageModel, steps: int, strength: float) -> int:
    """As many steps as an image is changed in."""
    if not (run := model.info.steps_of(steps, strength)):
        told = f"strength: {strength} of {steps} steps is less than one; it must be {1 / steps:.3g} at least"
        raise bad_request("strength", told, "invalid_strength")
    return run


def _streaming(fields: ImageFields) -> tuple[bool, int]:
    """Whether events are wanted, and how many pictures before the finished one."""
    streamed = fields if isinstance(fields, StreamedFields) else StreamedFields()
    if not streamed.stream and streamed.partial_images:
        raise bad_request("partial_images", "partial_images: they come in events alone: set stream to true", "unsupported")
    if streamed.stream and (fields.n or 1) > 1:
        raise bad_request("n", "n: events do not say of which picture they are; with stream it is 1", "unsupported")
    if streamed.stream and fields.response_format == "url":
        raise bad_request("response_format", "response_format: events hold b64_json; leave it out", "unsupported")
    return bool(streamed.stream), streamed.partial_images or 0


def _file_form(fields: ImageFields) -> FileForm:
    form = fields.output_format or "png"
    if form == "png" and fields.output_compression not in (None, 100):
        told = "output_compression: a png loses nothing; it is of jpeg and webp alone: set output_format"
        raise bad_request("output_compression", told, "unsupported")
    return FileForm(form, 100 if fields.output_compression is None else fields.output_compression)


def prompt_of(fields: ImageFields) -> str:
    return fields.prompt if isinstance(fields, EditFields) else ""
