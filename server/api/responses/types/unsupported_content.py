"""Content parts and annotations of OpenAI's specification that this server does not support."""

from typing import Literal

from pydantic import BaseModel

from server.api.common.unsupported import PromptCacheBreakpoint


class InputFile(BaseModel):
    type: Literal["input_file"]
    file_id: str | None = None
    filename: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    detail: Literal["auto", "low", "high"] | None = None
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class UrlCitation(BaseModel):
    type: Literal["url_citation"]
    url: str
    start_index: int
    end_index: int
    title: str


class ContainerFileCitation(BaseModel):
    type: Literal["container_file_citation"]
    container_id: str
    file_id: str
    start_index: int
    end_index: int
    filename: str


class FilePath(BaseModel):
    type: Literal["file_path"]
    file_id: str
    index: int
