"""Wire types of a search, shared by the search endpoint and the file_search tool."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from server.http.fields import STRICT
from server.http.lists import NO_NUL, ExactNumber, MetadataKey, MetadataValue

Weight = Annotated[float, Field(ge=0, le=1000)]
Query = Annotated[str, StringConstraints(min_length=1, max_length=16_384, pattern=NO_NUL)]
MaxResults = Annotated[int, Field(ge=1, le=50)]
Scalar = MetadataValue | bool | ExactNumber


class ComparisonFilter(BaseModel):
    """`value` is a list with in and nin, and only with them; gt, gte, lt and lte take numbers and strings."""

    model_config = STRICT
    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    key: MetadataKey
    value: Scalar | Annotated[list[Scalar], Field(max_length=1000)]


class CompoundFilter(BaseModel):
    model_config = STRICT
    type: Literal["and", "or"]
    filters: Annotated[list["Filter"], Field(min_length=1, max_length=64)]


Filter = Annotated[ComparisonFilter | CompoundFilter, Field(discriminator="type")]


class HybridSearch(BaseModel):
    """Weights of vector and full-text search; not both 0."""

    model_config = STRICT
    embedding_weight: Weight
    text_weight: Weight


class RankingOptions(BaseModel):
    """`ranker`: none turns the cross-encoder off; otherwise it is used where the server has one."""

    model_config = STRICT
    ranker: Literal["none", "auto", "default-2024-11-15"] | None = None
    score_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    hybrid_search: HybridSearch | None = None
