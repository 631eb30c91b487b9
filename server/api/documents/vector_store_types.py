"""Wire types of /v1/vector_stores and their search."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from server.api.common.search.filter_types import Filter, MaxResults, Query, RankingOptions
from server.api.documents.store_file_types import ChunkingStrategy, FileCounts
from server.http.fields import OMIT_NONE, STRICT
from server.http.lists import NO_NUL, Attributes, Id, ListObject, Metadata, Name

Description = Annotated[str, Field(max_length=4096, pattern=NO_NUL)]


class ExpiresAfter(BaseModel):
    model_config = STRICT
    anchor: Literal["last_active_at"]
    days: Annotated[int, Field(ge=1, le=365)]


class CreateVectorStore(BaseModel):
    model_config = STRICT
    name: Name | None = None
    description: Description | None = None
    file_ids: Annotated[list[Id], Field(max_length=500)] | None = None
    metadata: Metadata | None = None
    expires_after: ExpiresAfter | None = None
    chunking_strategy: ChunkingStrategy | None = None  # of file_ids


class UpdateVectorStore(BaseModel):
    """A field that is left out keeps its value; null clears it."""

    model_config = STRICT
    name: Name | None = None
    description: Description | None = None
    metadata: Metadata | None = None
    expires_after: ExpiresAfter | None = None


class VectorStoreObject(BaseModel):
    id: str
    object: Literal["vector_store"] = "vector_store"
    created_at: int
    name: str
    description: str | None
    usage_bytes: int
    file_counts: FileCounts
    status: Literal["expired", "in_progress", "completed"]
    expires_after: Annotated[ExpiresAfter | None, OMIT_NONE]
    expires_at: int | None
    last_active_at: int
    metadata: dict[str, str]
    embedding_model: str | None  # extension: the model of its vectors; null before the first


class VectorStoreList(ListObject[VectorStoreObject]):
    pass


class VectorStoreDeleted(BaseModel):
    id: str
    object: Literal["vector_store.deleted"] = "vector_store.deleted"
    deleted: Literal[True] = True


class SearchRequest(BaseModel):
    model_config = STRICT
    query: Query | Annotated[list[Query], Field(min_length=1, max_length=16)]
    filters: Filter | None = None
    max_num_results: MaxResults | None = None  # 10
    ranking_options: RankingOptions | None = None
    rewrite_query: bool | None = None


class Content(BaseModel):
    type: Literal["text"] = "text"
    text: str


class SearchResult(BaseModel):
    """From chunk_id on: extensions. start and end are characters of the file's parsed text; the rest as in citations."""

    file_id: str
    filename: str
    score: Annotated[float, Field(ge=0, le=1)]
    attributes: Attributes
    content: list[Content]
    chunk_id: int
    page: int | None
    headings: list[str]
    start: int
    end: int
    start_seconds: float | None
    end_seconds: float | None
    picture: str | None
    url: str


class SearchResults(BaseModel):
    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"
    search_query: list[str]
    data: list[SearchResult]
    has_more: Literal[False] = False
    next_page: None = None
