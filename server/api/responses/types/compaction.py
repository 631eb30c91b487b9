"""Wire types of /v1/responses/compact."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, StringConstraints

from server.api.common.hints import CACHE_HINT, TIER_HINT
from server.api.common.unsupported import PromptCacheOptions
from server.api.responses.types.input_items import InputItem
from server.api.responses.types.output_items import CompactionItem, MessageItem
from server.api.responses.types.request import ServiceTier
from server.api.responses.types.response import Usage
from server.http.fields import OMIT_NONE, STRICT
from server.http.lists import Id
from server.http.warnings import WarningObject


class CompactRequest(BaseModel):
    model_config = STRICT
    model: str | None
    input: str | list[InputItem] | None = None
    previous_response_id: Id | None = None
    instructions: str | None = None  # how to summarize
    prompt_cache_key: Annotated[str, StringConstraints(max_length=64)] | None = None  # no effect: prefixes are always cached
    prompt_cache_retention: Annotated[Literal["in_memory", "in-memory", "24h"] | None, CACHE_HINT] = None
    prompt_cache_options: Annotated[PromptCacheOptions | None, CACHE_HINT] = None
    service_tier: Annotated[ServiceTier | None, TIER_HINT] = None
    conversation: ClassVar[None] = None


class CompactedResponse(BaseModel):
    """`output`: what goes on as the input of the next response, unchanged."""

    id: str
    object: Literal["response.compaction"] = "response.compaction"
    created_at: int  # Unix time
    output: list[CompactionItem | MessageItem]
    usage: Usage
    warnings: Annotated[list[WarningObject] | None, OMIT_NONE] = None  # extension
