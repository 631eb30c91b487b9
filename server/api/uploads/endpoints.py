"""The endpoints of /v1/uploads: large files that are sent in parts."""

import mimetypes
from functools import partial

from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from server.api.documents.files import default_lifetime, read_chunks, safe_name
from server.api.uploads import types as wire
from server.api.uploads.completion import complete, to_upload_object
from server.archive.uploads.records import NewUpload
from server.core.cost import current_account
from server.core.errors import ApiError, bad_request, from_fields
from server.core.threads import in_thread
from server.http.auth import expect_allowed_origin
from server.http.body import read_query
from server.http.connection.disconnect import ClientDisconnected
from server.http.context import RequestContext
from server.http.endpoint import Endpoint, Form
from server.http.handlers import BODY_ERRORS, PATH_PARAMETERS, body_endpoint, query_endpoint, request_context
from server.http.lists import NoQuery
from server.http.multipart import Upload, read_upload
from server.http.sse import send_json
from server.runtime.state import ServerState

ALL = "/v1/uploads"
ONE = f"{ALL}/{{upload_id}}"
PARTS = f"{ONE}/parts"
LIFETIME = 3600  # seconds that an upload may take
MAX_PART_BYTES = 64 << 20
DATA = "data"  # the form field that holds a part


def endpoints(state: ServerState) -> list[Endpoint]:
    shape = wire.UploadObject
    return [
        body_endpoint(state, partial(create, state.settings.max_upload_bytes), ALL, "Begin an upload in parts", wire.CreateUpload, shape),
        _part_endpoint(state),
        body_endpoint(state, complete, f"{ONE}/complete", "Make a file of the parts", wire.CompleteUpload, shape),
        query_endpoint(state, "POST", cancel, f"{ONE}/cancel", "Give up an upload", NoQuery, shape),
    ]


def _part_endpoint(state: ServerState) -> Endpoint:
    return Endpoint(
        method="POST",
        path=PARTS,
        summary="Add a part, of 64 MiB at most",
        run=partial(_add_part, state),
        body=Form(fields=wire.PartForm, file=DATA),
        answer=wire.UploadPart,
        errors=tuple(sorted({*BODY_ERRORS, 403})),
        parameters={"upload_id": PATH_PARAMETERS["upload_id"]},
    )


async def create(max_bytes: int, context: RequestContext, body: wire.CreateUpload) -> wire.UploadObject:
    if body.bytes > max_bytes:
        told = f"bytes: {body.bytes} are more than {max_bytes}, the most that a file may have here"
        raise ApiError(413, told, "bytes", "file_too_large")
    expires_after = body.expires_after.seconds if body.expires_after else default_lifetime(body.purpose)
    new = NewUpload(
        owner=context.owner,
        filename=_file_name(body),
        purpose=body.purpose,
        bytes=body.bytes,
        lifetime=LIFETIME,
        file_expires_after=expires_after,
    )
    return to_upload_object(await in_thread(context.archive.create_upload, new))


async def cancel(context: RequestContext, query: NoQuery) -> wire.UploadObject:
    return to_upload_object(await in_thread(context.archive.cancel_upload, context.owner, context.upload_id))


async def _add_part(state: ServerState, scope: Scope, receive: Receive, send: Send) -> None:
    context = request_context(state, scope)
    read_query(scope, NoQuery)
    expect_allowed_origin(state, Headers(scope=scope))
    limit = min(MAX_PART_BYTES, state.settings.max_upload_bytes)
    with state.count_request():
        try:
            await in_thread(context.archive.upload, context.owner, context.upload_id)  # none: nobody need send it all
            pace = state.throttle.body(current_account(), kept=False)
            async with pace, read_upload(scope, receive, limit, pace, DATA) as upload:
                part = await _store_part(context, upload)
        except ClientDisconnected:
            state.metrics.client_disconnected()
        else:
            await send_json(send, 200, part.model_dump_json().encode())


async def _store_part(context: RequestContext, upload: Upload) -> wire.UploadPart:
    """Raises ApiError."""
    if upload.filename is None:
        raise bad_request(DATA, f"{DATA}: missing; the form must hold a part of that name, as a file", "missing")
    try:
        wire.PartForm.model_validate(upload.fields)
    except ValidationError as error:
        raise from_fields(error) from error
    if not upload.size:
        raise bad_request(DATA, f"{DATA}: the part is empty", "empty_part")
    made = await in_thread(context.archive.add_part, context.owner, context.upload_id, read_chunks(upload))
    return wire.UploadPart(id=made.id, created_at=made.created_at, upload_id=made.upload_id)


def _file_name(body: wire.CreateUpload) -> str:
    """With the ending of its MIME type where it has none: readers go by it."""
    name = safe_name(body.filename)
    known = mimetypes.guess_extension(body.mime_type.partition(";")[0].strip().lower())
    return name if "." in name.strip(".") or known is None else safe_name(f"{name}{known}")
