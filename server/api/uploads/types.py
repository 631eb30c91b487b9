"""Wire types of /v1/uploads."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from server.api.documents.file_types import FileObject, Purpose
from server.archive.uploads.records import MAX_PARTS, UploadStatus
from server.http.fields import STRICT
from server.http.lists import MAX_EXACT_INT, NO_NUL, QUERY, Id

Filename = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=NO_NUL)]
MimeType = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$")]
Md5 = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{32}$")]


class ExpiresAfter(BaseModel):
    """Of the file, from its creation on."""

    model_config = STRICT
    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3600, le=2_592_000)]


class CreateUpload(BaseModel):
    """`mime_type` says what a file is whose name does not."""

    model_config = STRICT
    filename: Filename
    purpose: Purpose
    bytes: Annotated[int, Field(ge=0, le=MAX_EXACT_INT)]
    mime_type: MimeType
    expires_after: ExpiresAfter | None = None


class CompleteUpload(BaseModel):
    model_config = STRICT
    part_ids: Annotated[list[Id], Field(max_length=MAX_PARTS)]
    md5: Md5 | None = None  # hex, of the whole file


class PartForm(BaseModel):
    """The form has no fields besides the part."""

    model_config = QUERY


class UploadObject(BaseModel):
    id: str
    object: Literal["upload"] = "upload"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: UploadStatus
    file: FileObject | None  # once it is completed, until it is deleted


class UploadPart(BaseModel):
    id: str
    object: Literal["upload.part"] = "upload.part"
    created_at: int
    upload_id: str
