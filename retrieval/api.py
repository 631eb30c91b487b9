"""The types and protocols of the knowledge base: documents, chunks, searches, hits, models, errors. Imports no implementation."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]  # [dimensions]
Vectors = NDArray[np.float32]  # [n, dimensions]
Value = str | int | float | bool
Attributes = dict[str, Value]

# documents


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A structural unit of a document. Its text is Document.text[start:end]."""

    kind: Literal["heading", "paragraph", "list", "table", "code"]
    start: int  # offset in characters of Document.text
    end: int
    page: int | None = None  # from 1: of a PDF, slide of a presentation, sheet of a workbook
    headings: tuple[str, ...] = ()  # headings it stands under, outermost first
    start_seconds: float | None = None  # of a recording: when it is said, from the beginning
    end_seconds: float | None = None


PictureType = Literal["image/png", "image/jpeg"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture in a document, or the document itself. Document.text[start:end] are the words by which it is found beside what it shows:
    its description or caption, else what stands next to it; there may be none."""

    data: bytes  # of a file of `media_type`, written by the parser: small, and without metadata
    media_type: PictureType
    start: int
    end: int
    page: int | None = None
    headings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A parsed file. All character spans refer to `text`, which is normalized (NFC, no invisible characters)."""

    text: str
    blocks: tuple[Block, ...]
    media_type: str
    title: str = ""
    notes: tuple[str, ...] = ()  # warnings for the user, e.g. "3 pages hold images only"
    pictures: tuple[Picture, ...] = ()  # none where the parser was not asked for them


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChunk:
    """A chunk before it is stored. `text` == document.text[start:end]."""

    text: str
    start: int
    end: int
    page: int | None = None
    headings: tuple[str, ...] = ()
    start_seconds: float | None = None
    end_seconds: float | None = None
    picture: Picture | None = None  # which it stands for


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A stored chunk. `id` is unique in the database and never reused."""

    id: int
    store_id: str
    file_id: str
    filename: str
    ordinal: int  # within its file, from 0
    text: str
    start: int
    end: int
    page: int | None = None
    headings: tuple[str, ...] = ()
    start_seconds: float | None = None  # of a recording
    end_seconds: float | None = None
    picture: PictureType | None = None  # of the picture that the chunk stands for


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunking:
    """Sizes in tokens of the embedding model. size None: what fits the embedding model; overlap None: the default share."""

    size: int | None = None
    overlap: int | None = None


# searches

Comparison = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """Compares one attribute of a file. A file without the key matches only "ne" and "nin". Only numbers with numbers and strings
    with strings are ordered."""

    op: Comparison
    key: str
    value: Value | tuple[Value, ...]  # a tuple with "in" and "nin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Combine:
    op: Literal["and", "or"]
    filters: tuple["Filter", ...]


Filter = Compare | Combine


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Weights of vector and word score in the fused score. They need not add up to 1; at least one is above 0."""

    embedding: float = 1.0
    text: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    queries: tuple[str, ...]  # a chunk gets its best score over all of them
    stores: tuple[str, ...]
    limit: int = 10
    filter: Filter | None = None
    threshold: float = 0.0
    mode: Literal["dense", "lexical", "fused"] = "fused"
    weights: Weights | None = None  # None: equal weights
    rerank: bool = True  # with the cross-encoder, where one is loaded
    distinct: bool = True  # of chunks with the same text keep only the best
    known_vectors: Mapping[str, Vector] = field(default_factory=dict[str, Vector])  # by query; only other queries are embedded


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    chunk: Chunk
    score: float  # 0..1, comparable between queries and stores
    attributes: Attributes = field(default_factory=dict[str, Value])


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    hits: tuple[Hit, ...]  # best first
    query_vectors: Mapping[str, Vector]  # by query; empty for a lexical search


class Retriever(Protocol):
    async def search(self, search: Search) -> SearchResult:
        """Raises NotFound, WrongModel and EngineError."""
        ...


# models


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Which model, with which prompts, made the vectors of a store. Vectors of different identities cannot be compared."""

    model: str
    revision: str  # SHA-256 of the weights, shortened
    dimensions: int
    pooling: str  # "mean", "cls" ...; with "+normalize"
    query_prompt: str = ""
    document_prompt: str = ""
    called: str = field(default="", compare=False)  # name in the operator's settings, for messages


class Embedder(Protocol):
    @property
    def identity(self) -> ModelIdentity: ...

    @property
    def max_tokens(self) -> int:
        """Of one text, without prompt and special tokens. `embed` truncates longer texts."""
        ...

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Character span of each token of `text`, without special tokens and prompt."""
        ...

    def fluency(self, text: str) -> float:
        """Letters and digits per token: how well the model's vocabulary fits the text. About 4 in a language that it was made for, 1 where
        it spells, or does not know the characters."""
        ...

    async def embed(self, texts: Sequence[str], kind: Literal["query", "document"]) -> Vectors:
        """One row per text; of length 1 if the model normalizes."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """`rows`: of the encoder, made of all images together: what tokens are of texts."""

    vectors: Vectors
    rows: int


class ImageEmbedder(Protocol):
    """Of a model whose vectors of texts and images lie in one space."""

    async def embed(self, images: Sequence[bytes]) -> Seen:
        """Of files as they were sent, one row per image. Raises retrieval.images.limits.ImageError and DecoderFailed, and EngineError."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """`probabilities` [n, labels]: of each class, for each item. `rows`: as in Seen."""

    probabilities: NDArray[np.float64]
    rows: int


class PictureModel(Protocol):
    """What finds pictures by questions: a model whose vectors of texts and images lie in one space."""

    @property
    def identity(self) -> ModelIdentity: ...

    async def see(self, picture: bytes) -> Vector:
        """Raises retrieval.images.limits.ImageError and DecoderFailed, and EngineError."""
        ...

    async def ask(self, questions: Sequence[str]) -> Vectors:
        """One row per question. Raises EngineError."""
        ...

    def fluency(self, text: str) -> float:
        """As Embedder.fluency."""
        ...

    async def anything(self) -> Vector:
        """The mean of what texts mean that fit any picture; shorter than 1. Raises EngineError."""
        ...

    def fits(self, products: NDArray[np.float64]) -> NDArray[np.float64]:
        """0..1: how surely a picture fits a question, of how much larger their product is than that of pictures and `anything`."""
        ...

    async def judged(self, images: Sequence[bytes], labels: Sequence[str]) -> Judged:
        """How well each label fits each image (zero-shot; Radford et al. 2021, arXiv 2103.00020). Raises as `see` does."""
        ...


class Classifier(Protocol):
    @property
    def reads(self) -> Literal["text", "image"]: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    async def classify(self, items: Sequence[str | bytes]) -> Judged:
        """Of texts, or of files of images as they were sent: of what the model reads. Raises as ImageEmbedder.embed does."""
        ...

    async def close(self) -> None: ...


class Reranker(Protocol):
    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Relevance of each text, 0..1."""
        ...


# errors; their messages are shown to the client


class KnowledgeError(Exception): ...


ResourceKind = Literal[
    "file",
    "vector store",
    "file of this vector store",
    "file batch",
    "chunk",
    "picture",
    "response",
    "conversation",
    "item",
    "chat completion",
    "message",
    "upload",
    "part of this upload",
    "batch",
]


class NotFound(KnowledgeError):
    """The resource does not exist or belongs to another owner; both give the same error, so that ids reveal nothing."""

    def __init__(self, what: ResourceKind, id: str) -> None:
        super().__init__(f"there is no {what} {id!r}")
        self.what, self.id = what, id


class ReadOnly(KnowledgeError):
    """A change of a resource of the operator's, which everybody may read and nobody else may change."""

    def __init__(self, what: Literal["file", "vector store"], id: str) -> None:
        super().__init__(f"the {what} {id!r} belongs to the operator, as what `stoa ingest` makes: it can only be read")


class WrongModel(KnowledgeError):
    """The store's vectors were made by another embedding model than the one that is loaded."""


class Conflict(KnowledgeError):
    """The resource is in a state that does not allow the operation."""


FaultKind = Literal["unreachable", "busy", "full", "read_only", "missing", "damaged"]
FAULT_MESSAGES: dict[FaultKind, str] = {
    "unreachable": "the database does not answer now",
    "busy": "the database is busy; try again",
    "full": "there is no room left for the database; deleting files, stores or responses makes some",
    "read_only": "the database can only be read now",
    "missing": "the file of the database is gone",
    "damaged": "the database is damaged: a part of it cannot be read or written",
}


class DatabaseFault(KnowledgeError):
    """The database cannot do now what it was asked to. The message names no host, path or user; `detail`, for the log, does."""

    def __init__(self, kind: FaultKind, detail: str) -> None:
        super().__init__(FAULT_MESSAGES[kind])
        self.kind: FaultKind = kind
        self.detail = detail


class Unreadable(KnowledgeError):
    """A file cannot be parsed. `code` as in OpenAI's last_error."""

    def __init__(self, message: str, code: Literal["unsupported_file", "invalid_file", "server_error"] = "invalid_file") -> None:
        super().__init__(message)
        self.code = code


class Parser(Protocol):
    async def parse(self, content: AsyncIterator[bytes], filename: str) -> Document:
        """Raises Unreadable: damaged, hostile, too large, too slow, unsupported format."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A part of what is said in a recording. Times are seconds from its beginning."""

    text: str  # with the space before it
    start: float
    end: float


class SpeechReader(Protocol):
    async def read(self, content: AsyncIterator[bytes]) -> Sequence[Spoken]:
        """What is said in a recording, in order; content: of its file. Raises Unreadable."""
        ...
