"""POST /v1/uploads/{id}/complete: the parts become a file. It may be asked again: the answer is the same."""

import hashlib
from collections.abc import Iterator, Sequence

from retrieval.api import NotFound
from retrieval.records import File, NewFile
from retrieval.store.api import Store
from server.api.documents.files import to_file_object
from server.api.uploads import types as wire
from server.archive.api import Archive
from server.archive.uploads.records import UploadPartRecord, UploadRecord
from server.core.errors import ApiError, bad_request
from server.core.threads import in_thread
from server.http.context import RequestContext


async def complete(context: RequestContext, body: wire.CompleteUpload) -> wire.UploadObject:
    archive, store, owner = context.archive, context.database, context.owner
    upload = await in_thread(archive.upload, owner, context.upload_id)
    if upload.status == "pending":
        upload = await _complete(archive, store, upload, body)
    if upload.status != "completed" or list(upload.part_ids) != body.part_ids:
        raise bad_request(None, f"the upload {upload.id} is {upload.status}, it cannot be completed any more", f"upload_{upload.status}")
    return to_upload_object(upload, await in_thread(_file, store, upload))


def to_upload_object(upload: UploadRecord, file: File | None = None) -> wire.UploadObject:
    return wire.UploadObject(
        id=upload.id,
        bytes=upload.bytes,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
        filename=upload.filename,
        purpose=upload.purpose,
        status=upload.status,
        file=None if file is None else to_file_object(file),
    )


async def _complete(archive: Archive, store: Store, upload: UploadRecord, body: wire.CompleteUpload) -> UploadRecord:
    """The upload as it is afterwards; others may have completed or cancelled it meanwhile."""
    parts = await _parts(archive, upload, body.part_ids)
    new = NewFile(owner=upload.owner, filename=upload.filename, purpose=upload.purpose, expires_after=upload.file_expires_after)
    try:
        await in_thread(store.put_file, new, _content(archive, parts, body.md5), archive.completing_upload(upload, body.part_ids))
        await in_thread(archive.remove_parts, upload.id)
    except ApiError as error:
        found = await in_thread(archive.upload, upload.owner, upload.id)
        if found.status == "pending":
            raise error from None
        return found
    return await in_thread(archive.upload, upload.owner, upload.id)


async def _parts(archive: Archive, upload: UploadRecord, part_ids: Sequence[str]) -> list[UploadPartRecord]:
    first = {part_id: index for index, part_id in reversed(list(enumerate(part_ids)))}
    if twice := [index for index, part_id in enumerate(part_ids) if first[part_id] != index]:
        raise bad_request(f"part_ids.{twice[0]}", f"part_ids.{twice[0]}: {part_ids[twice[0]]!r} is named twice", "duplicate")
    try:
        parts = await in_thread(archive.upload_parts, upload.owner, upload.id, part_ids)
    except ApiError as error:
        raise bad_request("part_ids", f"part_ids: {error.message}", error.code) if error.status == 404 else error from None
    if (size := sum(part.bytes for part in parts)) != upload.bytes:
        told = f"part_ids: these parts have {size} bytes, the upload was said to have {upload.bytes}"
        raise bad_request("part_ids", told, "bytes_mismatch")
    return parts


def _content(archive: Archive, parts: Sequence[UploadPartRecord], md5: str | None) -> Iterator[bytes]:
    """Raises ApiError at the end where the checksum is another."""
    digest = hashlib.md5(usedforsecurity=False)
    for part in parts:
        for data in archive.read_part(part):
            digest.update(data)
            yield data
    if md5 is not None and digest.hexdigest() != md5.lower():
        raise bad_request("md5", f"md5: what has arrived has {digest.hexdigest()}", "md5_mismatch")


def _file(store: Store, upload: UploadRecord) -> File | None:
    """None: it has been deleted."""
    try:
        return store.file(upload.owner, upload.file_id or "")
    except NotFound:
        return None
