"""The border of the knowledge base: documents in, hits out. Imports no torch, no database and no implementation."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]  # [dimensions]
Vectors = NDArray[np.float32]  # [n, dimensions]
Value = str | int | float | bool
Attributes = dict[str, Value]

# what a document is made of


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A piece of a document that its author set apart. `text` is what stands at start:end of Document.text."""

    kind: Literal["heading", "paragraph", "list", "table", "code"]
    start: int  # characters of Document.text
    end: int
    page: int | None = None  # from 1: of a PDF, slide of a presentation, sheet of a workbook
    headings: tuple[str, ...] = ()  # path of headings above it, outermost first


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A parsed file. `text` is clean (NFC, no invisible characters) and is what all character spans refer to."""

    text: str
    blocks: tuple[Block, ...]
    media_type: str
    title: str = ""
    notes: tuple[str, ...] = ()  # what the reader should know: "3 pages hold images only"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChunk:
    """A chunk before it is stored. `text` == document.text[start:end]."""

    text: str
    start: int
    end: int
    page: int | None = None
    headings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A stored piece. `id` is unique in the database and never reused."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunking:
    """Sizes in tokens of the embedding model; 0 overlap: none. None for size: what fits the embedding model."""

    size: int | None = None
    overlap: int | None = None


# questions and answers

Comparison = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """A file without the key matches only "ne" and "nin". Order holds between numbers and between strings."""

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
    """Share of each side in the fused score; they need not add up to 1, but not both may be 0."""

    embedding: float = 1.0
    text: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    queries: tuple[str, ...]  # several: the best score of a chunk over all of them counts
    stores: tuple[str, ...]
    limit: int = 10
    filter: Filter | None = None
    threshold: float = 0.0
    mode: Literal["dense", "lexical", "fused"] = "fused"
    weights: Weights | None = None  # None: what was measured to be best
    rerank: bool = True  # with the cross-encoder, where one is loaded
    distinct: bool = True  # of chunks with the same text only the best: the same page in two files tells nothing new
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


# models, as this side knows them


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """What made the vectors of a store. Vectors of different identities cannot be compared."""

    model: str
    revision: str  # SHA-256 of the weights, shortened
    dimensions: int
    pooling: str  # "mean", "cls" ...; with "+normalize"
    query_prompt: str = ""
    document_prompt: str = ""
    called: str = field(default="", compare=False)  # in the operator's settings, which may call one model by several names


class Embedder(Protocol):
    @property
    def identity(self) -> ModelIdentity: ...

    @property
    def max_tokens(self) -> int:
        """Of one text, prompt and special tokens not counted. Longer texts are cut off by `embed`."""
        ...

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Character span of each token of `text`, without special tokens and prompt."""
        ...

    async def embed(self, texts: Sequence[str], kind: Literal["query", "document"]) -> Vectors:
        """Unit vectors, if the model's are."""
        ...


class Reranker(Protocol):
    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """0..1, in the order of `texts`."""
        ...


# errors; each message is meant for whoever asked


class KnowledgeError(Exception): ...


ResourceKind = Literal[
    "file",
    "vector store",
    "file of this vector store",
    "file batch",
    "chunk",
    "response",
    "conversation",
    "item",
    "chat completion",
    "message",
]


class NotFound(KnowledgeError):
    """`what` there is no such thing of, or it belongs to somebody else (the same answer, so that ids tell nothing)."""

    def __init__(self, what: ResourceKind, id: str) -> None:
        super().__init__(f"there is no {what} {id!r}")
        self.what, self.id = what, id


class ReadOnly(KnowledgeError):
    """Of what the operator made: everybody may read it, so that saying so gives nothing away."""

    def __init__(self, what: Literal["file", "vector store"], id: str) -> None:
        super().__init__(f"the {what} {id!r} belongs to the operator, as what `stoa ingest` makes: it can only be read")


class WrongModel(KnowledgeError):
    """The store's vectors were made by another embedding model than the one that is loaded."""


class Conflict(KnowledgeError):
    """The thing is not in a state in which this can be done."""


class Unreadable(KnowledgeError):
    """A file cannot be parsed. `code` as in OpenAI's last_error."""

    def __init__(self, message: str, code: Literal["unsupported_file", "invalid_file", "server_error"] = "invalid_file") -> None:
        super().__init__(message)
        self.code = code


class Parser(Protocol):
    async def parse(self, content: AsyncIterator[bytes], filename: str) -> Document:
        """Raises Unreadable: wrong, hostile, too large, too slow, of a kind nobody reads."""
        ...
