"""Wire types of POST /v1/score: an extension, in the format of vLLM."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from server.api.common.search.filter_types import Query
from server.api.embeddings.types import EmbeddingUsage
from server.http.fields import STRICT

Texts = Query | Annotated[list[Query], Field(min_length=1, max_length=1000)]


class ScoreRequest(BaseModel):
    """Pairs: one text_1 with each text_2, or as many of one as of the other."""

    model_config = STRICT
    model: str | None = None
    text_1: Texts
    text_2: Texts


class Score(BaseModel):
    index: int
    object: Literal["score"] = "score"
    score: Annotated[float, Field(ge=0, le=1)]


class ScoreResponse(BaseModel):
    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[Score]
    usage: EmbeddingUsage
