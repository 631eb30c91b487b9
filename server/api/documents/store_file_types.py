"""/v1/vector_stores/{id}/files, /file_batches and, as extensions, /chunks and /files/{id}/text."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from server.http.fields import STRICT
from server.http.lists import QUERY, Attributes, Id, ListObject, ListQuery, QueryInt

Status = Literal["in_progress", "completed", "failed", "cancelled"]


class StaticChunking(BaseModel):
    """In tokens of the embedding model. The vector of a chunk that is longer than the model's input combines those of its parts."""

    model_config = STRICT
    max_chunk_size_tokens: Annotated[int, Field(ge=100, le=4096)]
    chunk_overlap_tokens: Annotated[int, Field(ge=0, le=2048)]

    @model_validator(mode="after")
    def _half(self) -> "StaticChunking":
        if self.chunk_overlap_tokens > self.max_chunk_size_tokens // 2:
            raise PydanticCustomError("overlap", "chunk_overlap_tokens must not be more than half of max_chunk_size_tokens")
        return self


class AutoStrategy(BaseModel):
    model_config = STRICT
    type: Literal["auto"]


class StaticStrategy(BaseModel):
    model_config = STRICT
    type: Literal["static"]
    static: StaticChunking


ChunkingStrategy = Annotated[AutoStrategy | StaticStrategy, Field(discriminator="type")]


class CreateStoreFile(BaseModel):
    model_config = STRICT
    file_id: Id
    attributes: Attributes | None = None
    chunking_strategy: ChunkingStrategy | None = None


class UpdateStoreFile(BaseModel):
    model_config = STRICT
    attributes: Attributes | None


def _one_of_both(schema: dict[str, Any]) -> None:
    schema["oneOf"] = [{"required": ["file_ids"]}, {"required": ["files"]}]


class CreateFileBatch(BaseModel):
    """file_ids, which share attributes and chunking_strategy, or files, each of which has its own."""

    model_config = STRICT | {"json_schema_extra": _one_of_both}
    file_ids: Annotated[list[Id], Field(min_length=1, max_length=2000)] | None = None
    files: Annotated[list[CreateStoreFile], Field(min_length=1, max_length=2000)] | None = None
    attributes: Attributes | None = None
    chunking_strategy: ChunkingStrategy | None = None


class StoreFilesQuery(ListQuery):
    filter: Status | None = None


class TextQuery(BaseModel):
    """The characters start:end of the file's parsed text; without them, all of it."""

    model_config = QUERY
    start: Annotated[QueryInt, Field(ge=0)] = 0
    end: Annotated[QueryInt, Field(ge=0)] | None = None


class FileCounts(BaseModel):
    in_progress: int
    completed: int
    failed: int
    cancelled: int
    total: int


class LastError(BaseModel):
    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str


class OtherStrategy(BaseModel):
    type: Literal["other"] = "other"


class StoreFile(BaseModel):
    """From filename on: extensions. `state` is finer than status, `progress` (0..1) that of the state; `notes` are
    warnings, such as pages with images only."""

    id: str
    object: Literal["vector_store.file"] = "vector_store.file"
    created_at: int
    vector_store_id: str
    usage_bytes: int
    status: Status
    last_error: LastError | None
    attributes: Attributes
    chunking_strategy: StaticStrategy | OtherStrategy
    filename: str
    state: Literal["queued", "parsing", "embedding", "ready", "failed", "cancelled"]
    progress: float
    notes: list[str]


class StoreFileList(ListObject[StoreFile]):
    pass


class StoreFileDeleted(BaseModel):
    id: str
    object: Literal["vector_store.file.deleted"] = "vector_store.file.deleted"
    deleted: Literal[True] = True


class FileBatch(BaseModel):
    id: str
    object: Literal["vector_store.files_batch"] = "vector_store.files_batch"
    created_at: int
    vector_store_id: str
    status: Status
    file_counts: FileCounts


class PageContent(BaseModel):
    type: Literal["text"] = "text"
    text: str


class StoreFileContent(BaseModel):
    object: Literal["vector_store.file_content.page"] = "vector_store.file_content.page"
    data: list[PageContent]
    has_more: Literal[False] = False
    next_page: None = None


class StoreFileText(BaseModel):
    """Extension: a passage, `text` == the whole [start:end]."""

    object: Literal["vector_store.file_text"] = "vector_store.file_text"
    file_id: str
    vector_store_id: str
    filename: str
    start: int
    end: int
    characters: int  # of the whole
    text: str


class Neighbour(BaseModel):
    id: int
    text: str


class ChunkObject(BaseModel):
    """Extension: a chunk with its neighbours."""

    id: int
    object: Literal["vector_store.chunk"] = "vector_store.chunk"
    vector_store_id: str
    file_id: str
    filename: str
    ordinal: int  # within its file, from 0
    page: int | None
    headings: list[str]
    start: int
    end: int
    start_seconds: float | None
    end_seconds: float | None
    picture: str | None
    url: str
    text: str
    before: Neighbour | None
    after: Neighbour | None
