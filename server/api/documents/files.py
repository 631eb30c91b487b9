"""Files: taken in, listed, given back, deleted."""

import asyncio
import re
import unicodedata
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote, urlsplit

from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from retrieval.records import File, Listing, NewFile
from server.api.documents import file_types as wire
from server.core.errors import ApiError, bad, from_fields
from server.core.threads import threaded
from server.http.body import Dropped, read_query
from server.http.context import Call
from server.http.endpoint import Endpoint, Form
from server.http.handlers import OF_A_BODY, call
from server.http.lists import NoQuery, ends
from server.http.multipart import Upload, read_upload
from server.http.sse import send_json
from server.runtime.state import House

PART = 1 << 20  # bytes that are moved at once
NAME_BYTES = 255  # of a file name, as most file systems have it
BATCH_SECONDS = 30 * 86_400  # how long OpenAI keeps files of this purpose
UNSAFE = re.compile(r"[\x00-\x1f\x7f\ufffd]")


def uploading(house: House, path: str) -> Endpoint:
    errors = tuple(sorted({*OF_A_BODY, 403}))
    run = partial(_upload, house)
    return Endpoint(
        method="POST", path=path, summary="Upload a file", run=run, body=Form(fields=wire.FileForm), answer=wire.FileObject, errors=errors
    )


async def _upload(house: House, scope: Scope, receive: Receive, send: Send) -> None:
    asked = call(house, scope)
    read_query(scope, NoQuery)
    _expect_no_stranger(house, Headers(scope=scope))
    store = asked.store
    with house.call():
        try:
            async with read_upload(scope, receive, house.settings.max_upload_bytes) as upload:
                made = await threaded(store.put_file, _new(asked.owner, upload), _read(upload))
        except Dropped:
            house.metrics.dropped()
        else:
            await send_json(send, 200, shown(made).model_dump_json().encode())


async def every(call: Call, query: wire.FilesQuery) -> wire.FileList:
    listing = Listing(limit=query.limit, order=query.order, after=query.after)
    page = await threaded(call.store.files, call.owner, listing, query.purpose)
    data = [shown(file) for file in page.items]
    first, last = ends([one.id for one in data])
    return wire.FileList(data=data, first_id=first, last_id=last, has_more=page.more)


async def one(call: Call, query: NoQuery) -> wire.FileObject:
    return shown(await threaded(call.store.file, call.owner, call.file_id))


async def delete(call: Call, query: NoQuery) -> wire.FileDeleted:
    await threaded(call.store.delete_file, call.owner, call.file_id)
    return wire.FileDeleted(id=call.file_id)


async def content(call: Call, send: Send) -> None:
    """Whatever is in it, no browser is to show or run it."""
    file = await threaded(call.store.file, call.owner, call.file_id)
    parts = await threaded(call.store.read_file, call.owner, call.file_id)
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


def shown(file: File) -> wire.FileObject:
    return wire.FileObject(
        id=file.id,
        bytes=file.bytes,
        created_at=file.created_at,
        expires_at=file.expires_at,
        filename=file.filename,
        purpose=file.purpose,
    )


def safe_name(given: str) -> str:
    """The last part of a path, without what a terminal or file system would stumble over; its extension survives."""
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", given)[-1])
    name = "".join(letter for letter in UNSAFE.sub("_", name) if unicodedata.category(letter) not in ("Cf", "Cs")).strip(" .")
    stem, dot, extension = name.rpartition(".")
    if len(name.encode()) > NAME_BYTES:
        name = f"{_shortened(stem if dot else name, NAME_BYTES - 32)}{dot}{_shortened(extension, 31) if dot else ''}"
    return name or "file"


def _shortened(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")


def _expect_no_stranger(house: House, headers: Headers) -> None:
    """Forms are the one kind of POST that a web page of any origin may send without being asked for permission first."""
    origin = headers.get("origin")
    if origin is None or house.settings.api_keys or origin in house.settings.cors_origins:
        return
    if urlsplit(origin).netloc != headers.get("host"):
        raise ApiError(403, f"pages of {origin} may not upload here (--cors-origin allows them)", code="origin_not_allowed")


def _new(owner: str, upload: Upload) -> NewFile:
    if upload.filename is None:
        raise bad("file", "file: missing; the form must hold a file of that name", "missing")
    try:
        form = wire.FileForm.model_validate(upload.fields)
    except ValidationError as error:
        raise from_fields(error) from error
    if (form.anchor is None) != (form.seconds is None):
        name = "expires_after[anchor]" if form.anchor is None else "expires_after[seconds]"
        raise bad(name, f"{name}: missing; expires_after needs both anchor and seconds", "missing")
    seconds = form.seconds or (BATCH_SECONDS if form.purpose == "batch" else None)
    return NewFile(owner=owner, filename=safe_name(upload.filename), purpose=form.purpose, expires_after=seconds)


def _read(upload: Upload) -> Iterator[bytes]:
    return iter(partial(upload.content.read, PART), b"")


def _disposition(name: str) -> str:
    """RFC 6266: for those who read no other letters, and for the rest."""
    plain = "".join(letter if letter.isascii() and letter not in '"\\%' else "_" for letter in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
