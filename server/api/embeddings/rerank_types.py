"""POST /v1/rerank: an extension, in the format of Jina and Cohere."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from server.api.common.search.filter_types import Query
from server.api.embeddings.types import EmbeddingUsage
from server.http.fields import STRICT


class RerankDocument(BaseModel):
    model_config = STRICT
    text: str


class RerankRequest(BaseModel):
    model_config = STRICT
    model: str | None = None
    query: Query
    documents: Annotated[list[str | RerankDocument], Field(min_length=1, max_length=1000)]
    top_n: Annotated[int, Field(ge=1, lt=2**31)] | None = None  # all
    return_documents: bool | None = None  # true


class RerankResult(BaseModel):
    index: int  # in `documents`
    relevance_score: Annotated[float, Field(ge=0, le=1)]
    document: RerankDocument | None = None


class RerankResponse(BaseModel):
    id: str
    object: Literal["list"] = "list"
    model: str
    results: list[RerankResult]  # best first
    usage: EmbeddingUsage
