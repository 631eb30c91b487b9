"""Records of the store: files, vector stores, their members, jobs, pages. Times are Unix seconds."""

from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, TypeVar

from retrieval.api import Attributes, Chunking, Document, ModelIdentity, NewChunk, Value, Vectors

T = TypeVar("T")
State = Literal["queued", "parsing", "embedding", "ready", "failed", "cancelled"]
IN_PROGRESS_STATES: tuple[State, ...] = ("queued", "parsing", "embedding")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    id: str
    owner: str
    filename: str
    purpose: str
    bytes: int
    sha256: str
    created_at: int
    expires_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    owner: str
    filename: str
    purpose: str = "assistants"
    expires_after: int | None = None  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return self.in_progress + self.completed + self.failed + self.cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorStore:
    """An expired store keeps its row but loses its chunks."""

    id: str
    owner: str
    name: str
    description: str | None
    metadata: dict[str, str]
    created_at: int
    last_active_at: int
    expires_after_days: int | None
    identity: ModelIdentity | None
    usage_bytes: int
    counts: Counts

    @property
    def expires_at(self) -> int | None:
        return None if self.expires_after_days is None else self.last_active_at + 86_400 * self.expires_after_days


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVectorStore:
    owner: str
    name: str = ""
    description: str | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    expires_after_days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorStoreChanges:
    """An update of a vector store. `fields` names the fields to set: name, description, metadata, expires_after_days."""

    name: str = ""
    description: str | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    expires_after_days: int | None = None
    fields: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file in a vector store."""

    store_id: str
    file_id: str
    filename: str
    sha256: str  # of the file
    state: State
    progress: float  # of the present state, 0..1
    error_code: str | None
    error: str | None
    notes: tuple[str, ...]
    attributes: Attributes
    chunking: Chunking
    usage_bytes: int
    created_at: int
    batch_id: str | None
    source: str | None  # path that it was read from by `stoa ingest`


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMember:
    file_id: str
    attributes: Attributes = field(default_factory=dict[str, Value])
    chunking: Chunking = field(default_factory=Chunking)
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    id: str
    store_id: str
    created_at: int
    cancelled: bool
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A member that a worker has claimed. `ticket` identifies the claim: after the lease has passed to another worker, the store
    accepts nothing for it."""

    member_key: int
    ticket: str
    store_id: str
    file_id: str
    owner: str  # of the file; who may read it
    filename: str
    bytes: int
    chunking: Chunking
    attempts: int  # this one included


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPictures:
    """Vectors of a document's pictures, in the order of their chunks, and the model that made them."""

    vectors: Vectors
    identity: ModelIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestedFile:
    """A parsed, chunked and embedded file, to be stored in one transaction. vectors[i] belongs to chunks[i]. `seen`: where chunks stand
    for pictures."""

    document: Document
    chunks: tuple[NewChunk, ...]
    vectors: Vectors
    identity: ModelIdentity
    seen: SeenPictures | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Cursor pagination as in OpenAI's API: by creation, newest first unless `order` is "asc"; `after` and `before` are ids."""

    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    items: tuple[T, ...]
    more: bool


class ScoredChunk(NamedTuple):  # not a dataclass: a search makes a thousand of them
    chunk_id: int
    score: float  # dense: cosine, -1..1; lexical: BM25 divided by what a perfect match of the query would get, 0..1
