"""POST /v1/images/generations, /v1/images/edits and /v1/images/variations."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from engine.api import StartPicture
from retrieval.images.limits import ImageLimits
from server.api.images import types as wire
from server.api.images.request import ImageOrder, expect_image_model, expect_makes_new, prompt_of, size_of, to_order
from server.api.images.request_types import EditForm, EditRequest, GenerationRequest, VariationForm
from server.api.images.response import stream_events, to_images
from server.api.images.sources import image_and_mask
from server.core.cost import before_long_work, counted, current_account
from server.core.errors import bad_request, from_fields
from server.core.images import with_image_errors
from server.http.auth import expect_allowed_origin
from server.http.body import read_query
from server.http.connection.disconnect import while_connected
from server.http.context import RequestContext
from server.http.endpoint import Endpoint, Form
from server.http.handlers import BODY_ERRORS, body_stream_endpoint, noting_disconnect, request_context
from server.http.lists import NoQuery
from server.http.multipart import Upload, read_upload
from server.http.sse import send_events, send_json
from server.http.warnings import warning_headers
from server.images.making import made, pictures
from server.images.model import ImageModel
from server.images.start import Look, MaskError, start_picture
from server.runtime.serving import Serving

EDITS = "/v1/images/edits"
IMAGE, MASK = "image", "mask"  # fields that hold files
EVENTS = "text/event-stream"
ImageForm = EditForm | VariationForm
Change = ImageForm | EditRequest
Files = tuple[bytes, bytes | None]  # an image and a mask


def endpoints(state: Serving) -> list[Endpoint]:
    summary, edit = "Pictures of what a prompt says", "An image, changed as a prompt says"
    as_json = body_stream_endpoint(state, _edit, EDITS, edit, EditRequest, wire.Images, streams=EVENTS)
    return [
        body_stream_endpoint(state, _generate, "/v1/images/generations", summary, GenerationRequest, wire.Images, streams=EVENTS),
        _as_form_too(as_json, _form_endpoint(state, EDITS, edit, EditForm, (MASK,))),
        _form_endpoint(state, "/v1/images/variations", "Images like one", VariationForm, ()),
    ]


async def _generate(context: RequestContext, body: GenerationRequest, send: Send) -> None:
    model = expect_image_model(context.runtime, body.model)
    expect_makes_new(model)
    order = to_order(model, body, body.prompt, "image_generation")
    await before_long_work()
    await _answer(order, send)


def _form_endpoint(state: Serving, path: str, summary: str, form: type[ImageForm], more: tuple[str, ...]) -> Endpoint:
    return Endpoint(
        method="POST",
        path=path,
        summary=summary,
        run=partial(_run, state, form, more),
        body=Form(fields=form, file=IMAGE, more=more),
        answer=wire.Images,
        errors=tuple(sorted({*BODY_ERRORS, 403})),
        streams=EVENTS if "stream" in form.model_fields else None,
    )


def _as_form_too(as_json: Endpoint, as_form: Endpoint) -> Endpoint:
    """By the content type of the request."""
    form, body = as_form.body, as_json.body
    assert isinstance(form, Form) and not isinstance(body, Form)

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        kind = Headers(scope=scope).get("content-type", "").lower()
        await (as_json if kind.startswith("application/json") else as_form).run(scope, receive, send)

    return replace(as_form, run=run, body=replace(form, or_json=body))


async def _run(state: Serving, form: type[ImageForm], more: tuple[str, ...], scope: Scope, receive: Receive, send: Send) -> None:
    context = request_context(state, scope)
    read_query(scope, NoQuery)
    expect_allowed_origin(state, Headers(scope=scope))
    expect_image_model(context.runtime, None)
    with state.count_request(), noting_disconnect(state):
        pace = state.throttle.body(current_account(), kept=False)
        async with pace, read_upload(scope, receive, ImageLimits().file_bytes, pace, IMAGE, more=more) as upload:
            fields, image = _parsed(upload, form), await asyncio.to_thread(upload.content.read)
            files = (image, upload.more.get(MASK))

        async def read() -> Files:
            return files

        await while_connected(receive, _change(context, fields, read, send))


def _parsed(upload: Upload, form: type[ImageForm]) -> ImageForm:
    if upload.filename is None:
        raise bad_request(IMAGE, f"{IMAGE}: missing; the form must hold a file of that name", "missing")
    try:
        return form.model_validate(upload.fields)
    except ValidationError as error:
        raise from_fields(error) from error


async def _edit(context: RequestContext, body: EditRequest, send: Send) -> None:
    await _change(context, body, partial(image_and_mask, context.runtime, body), send)


async def _change(context: RequestContext, fields: Change, read: Callable[[], Awaitable[Files]], send: Send) -> None:
    model = expect_image_model(context.runtime, fields.model)
    to_order(model, fields, prompt_of(fields), "image_edit")  # whose errors come before those of the files, which take longer to read
    await before_long_work()
    name = "images.0" if isinstance(fields, EditRequest) else IMAGE
    start = await _start(model, await read(), Look(size_of(model, fields), model.info.channels), fields.strength, name)
    await _answer(to_order(model, fields, prompt_of(fields), "image_edit", start), send)


async def _start(model: ImageModel, files: Files, look: Look, strength: float | None, name: str) -> StartPicture:
    """`name`: of the image's field."""
    image = await with_image_errors(model.decoder.decode(files[0]), name)
    mask = None if files[1] is None else await with_image_errors(model.decoder.decode(files[1]), MASK)
    try:
        return await asyncio.to_thread(counted, start_picture, image, mask, look, strength)
    except MaskError as error:
        raise bad_request(MASK, f"{MASK}: {error}", "invalid_mask") from error


async def _answer(order: ImageOrder, send: Send) -> None:
    headers = warning_headers(order.warnings)
    if order.stream:
        await send_events(send, stream_events(order, made(order.model, order.requests[0])), headers)
    else:
        answer = await to_images(order, await pictures(order.model, order.requests))
        await send_json(send, 200, answer.model_dump_json().encode(), headers)
