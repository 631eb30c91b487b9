"""Wire types of text blocks."""

from typing import Literal

from pydantic import BaseModel

from server.http.fields import STRICT


class CacheControl(BaseModel):
    """Accepted without effect: prompt prefixes are always cached."""

    model_config = STRICT
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Citation(BaseModel):
    """Cites a passage of a document. `source`: the file's id."""

    model_config = STRICT
    type: Literal["search_result_location"] = "search_result_location"
    cited_text: str
    source: str
    title: str | None
    search_result_index: int
    start_block_index: int
    end_block_index: int


class TextBlock(BaseModel):
    model_config = STRICT
    type: Literal["text"]
    text: str
    citations: list[Citation] | None = None  # of an earlier answer; each request searches anew
    cache_control: CacheControl | None = None


Text = str | list[TextBlock]
