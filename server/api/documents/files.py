"""Handlers of /v1/files: upload, list, read, download, delete."""

import asyncio
import re
import unicodedata
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote

from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from retrieval.records import File, NewFile, PageRequest
from server.api.documents import file_types as wire
from server.core.cost import current_account
from server.core.errors import bad_request, from_fields
from server.core.threads import in_thread
from server.http.auth import expect_allowed_origin
from server.http.body import read_query
from server.http.connection.disconnect import ClientDisconnected
from server.http.context import RequestContext
from server.http.endpoint import Endpoint, Form
from server.http.handlers import BODY_ERRORS, request_context
from server.http.lists import NoQuery, to_list_object
from server.http.multipart import Upload, read_upload
from server.http.sse import send_json
from server.runtime.state import ServerState

CHUNK_BYTES = 1 << 20  # read at once
MAX_NAME_BYTES = 255  # of a file name, the limit of most file systems
BATCH_SECONDS = 30 * 86_400  # how long OpenAI keeps the files of batches
UNSAFE = re.compile(r"[\x00-\x1f\x7f\ufffd]")


def upload_endpoint(state: ServerState, path: str) -> Endpoint:
    errors = tuple(sorted({*BODY_ERRORS, 403}))
    run = partial(_upload, state)
    return Endpoint(
        method="POST", path=path, summary="Upload a file", run=run, body=Form(fields=wire.FileForm), answer=wire.FileObject, errors=errors
    )


async def _upload(state: ServerState, scope: Scope, receive: Receive, send: Send) -> None:
    context = request_context(state, scope)
    read_query(scope, NoQuery)
    expect_allowed_origin(state, Headers(scope=scope))
    database = context.database
    with state.count_request():
        try:
            pace = state.throttle.body(current_account(), kept=False)
            async with pace, read_upload(scope, receive, state.settings.max_upload_bytes, pace) as upload:
                file = await in_thread(database.put_file, _to_new_file(context.owner, upload), read_chunks(upload))
        except ClientDisconnected:
            state.metrics.client_disconnected()
        else:
            await send_json(send, 200, to_file_object(file).model_dump_json().encode())


async def list_files(context: RequestContext, query: wire.FilesQuery) -> wire.FileList:
    listing = PageRequest(limit=query.limit, order=query.order, after=query.after)
    page = await in_thread(context.database.files, context.owner, listing, query.purpose)
    return to_list_object(wire.FileList, [to_file_object(file) for file in page.items], page.more)


async def get_file(context: RequestContext, query: NoQuery) -> wire.FileObject:
    return to_file_object(await in_thread(context.database.file, context.owner, context.file_id))


async def delete_file(context: RequestContext, query: NoQuery) -> wire.FileDeleted:
    await in_thread(context.database.delete_file, context.owner, context.file_id)
    return wire.FileDeleted(id=context.file_id)


async def download_file(context: RequestContext, send: Send) -> None:
    """The headers keep browsers from displaying or executing the content."""
    file = await in_thread(context.database.file, context.owner, context.file_id)
    parts = await in_thread(context.database.read_file, context.owner, context.file_id)
    headers = {
        "content-type": "application/octet-stream",
        "content-length": str(file.bytes),
        "content-disposition": _disposition(file.filename),
        "content-security-policy": "sandbox; default-src 'none'",
        "x-content-type-options": "nosniff",
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    while part := await asyncio.to_thread(next, parts, b""):
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def to_file_object(file: File) -> wire.FileObject:
    return wire.FileObject(
        id=file.id,
        bytes=file.bytes,
        created_at=file.created_at,
        expires_at=file.expires_at,
        filename=file.filename,
        purpose=file.purpose,
    )


def safe_name(filename: str) -> str:
    """The last part of a path without control and invisible characters, cut to MAX_NAME_BYTES; the extension stays."""
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", filename)[-1])
    name = "".join(letter for letter in UNSAFE.sub("_", name) if unicodedata.category(letter) not in ("Cf", "Cs")).strip(" .")
    stem, dot, extension = name.rpartition(".")
    if len(name.encode()) > MAX_NAME_BYTES:
        name = f"{_truncate(stem if dot else name, MAX_NAME_BYTES - 32)}{dot}{_truncate(extension, 31) if dot else ''}"
    return name or "file"


def _truncate(text: str, max_bytes: int) -> str:
    return text.encode()[:max_bytes].decode(errors="ignore")


def _to_new_file(owner: str, upload: Upload) -> NewFile:
    if upload.filename is None:
        raise bad_request("file", "file: missing; the form must hold a file of that name", "missing")
    try:
        form = wire.FileForm.model_validate(upload.fields)
    except ValidationError as error:
        raise from_fields(error) from error
    if (form.anchor is None) != (form.seconds is None):
        name = "expires_after[anchor]" if form.anchor is None else "expires_after[seconds]"
        raise bad_request(name, f"{name}: missing; expires_after needs both anchor and seconds", "missing")
    seconds = form.seconds or default_lifetime(form.purpose)
    return NewFile(owner=owner, filename=safe_name(upload.filename), purpose=form.purpose, expires_after=seconds)


def default_lifetime(purpose: str) -> int | None:
    """Seconds after which a file is removed whose client has not said; None: it stays."""
    return BATCH_SECONDS if purpose in ("batch", "batch_output") else None


def read_chunks(upload: Upload) -> Iterator[bytes]:
    return iter(partial(upload.content.read, CHUNK_BYTES), b"")


def _disposition(name: str) -> str:
    """RFC 6266: an ASCII name for old clients, and the UTF-8 name."""
    plain = "".join(letter if letter.isascii() and letter not in '"\\%' else "_" for letter in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
