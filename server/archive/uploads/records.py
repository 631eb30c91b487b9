"""Uploads in parts: their records and the archive's interface to them. Times are Unix seconds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from retrieval.store.api import AlsoWrite

UploadStatus = Literal["pending", "completed", "cancelled", "expired"]
MAX_PARTS = 10_000  # of one upload


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpload:
    owner: str
    filename: str
    purpose: str
    bytes: int  # of the whole file
    lifetime: int  # seconds
    file_expires_after: int | None  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRecord:
    id: str
    owner: str
    filename: str
    purpose: str
    bytes: int
    created_at: int
    expires_at: int
    file_expires_after: int | None
    status: UploadStatus
    file_id: str | None  # of a completed one
    part_ids: tuple[str, ...]  # that it was completed with


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPartRecord:
    id: str
    upload_id: str
    created_at: int
    bytes: int


class Uploads(Protocol):
    def create_upload(self, new: NewUpload) -> UploadRecord: ...
    def upload(self, owner: str, upload_id: str) -> UploadRecord: ...

    def add_part(self, owner: str, upload_id: str, content: Iterable[bytes]) -> UploadPartRecord:
        """`content`: parts of any size. If it raises, nothing is stored. Raises Conflict unless the upload is pending, and for more than
        MAX_PARTS or more bytes than parts that were sent again explain."""
        ...

    def upload_parts(self, owner: str, upload_id: str, part_ids: Sequence[str]) -> list[UploadPartRecord]:
        """In this order. Raises NotFound."""
        ...

    def read_part(self, part: UploadPartRecord) -> Iterator[bytes]:
        """Raises NotFound, also between pieces, where the part has been removed."""
        ...

    def completing_upload(self, upload: UploadRecord, part_ids: Sequence[str]) -> AlsoWrite:
        """What marks the upload as completed in the transaction that makes its file visible. Raises Conflict unless it is pending."""
        ...

    def cancel_upload(self, owner: str, upload_id: str) -> UploadRecord:
        """Removes its parts. Raises Conflict unless it is pending or cancelled."""
        ...

    def remove_parts(self, upload_id: str) -> None: ...

    def sweep_uploads(self) -> None:
        """Removes the parts of uploads that have ended, and in time the uploads."""
        ...
