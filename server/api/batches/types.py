"""Wire types of /v1/batches and of the lines of its files."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from pydantic_core import PydanticCustomError

from server.archive.batches.records import BatchStatus
from server.http.fields import OMIT_NONE, STRICT
from server.http.lists import NO_NUL, Id, ListObject, Metadata

BatchEndpoint = Literal["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings"]
WINDOW = re.compile(r"([1-9][0-9]{0,2})(h|d)", re.ASCII)
MAX_WINDOW_HOURS = 7 * 24


def _expect_window(value: str) -> str:
    if (hours := window_hours(value)) is None or hours > MAX_WINDOW_HOURS:
        raise PydanticCustomError("window", "Input should be a number of hours or days, at most 7d, such as 24h")
    return value


def window_hours(value: str) -> int | None:
    """None: it is none."""
    found = WINDOW.fullmatch(value)
    return found and int(found[1]) * (24 if found[2] == "d" else 1)


class OutputExpiresAfter(BaseModel):
    """Of the output and error files, from their creation on."""

    model_config = STRICT
    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3600, le=2_592_000)]


class CreateBatch(BaseModel):
    """What has not been answered when `completion_window` is over is left out."""

    model_config = STRICT
    input_file_id: Id
    endpoint: BatchEndpoint
    completion_window: Annotated[str, AfterValidator(_expect_window)]
    metadata: Metadata | None = None
    output_expires_after: OutputExpiresAfter | None = None


class InputLine(BaseModel):
    """A line of the input file."""

    model_config = STRICT
    custom_id: Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=NO_NUL)]
    method: str
    url: str
    body: dict[str, Any]


class BatchError(BaseModel):
    code: str
    message: str
    param: str | None = None
    line: int | None = None


class BatchErrors(BaseModel):
    object: Literal["list"] = "list"
    data: list[BatchError]


class RequestCounts(BaseModel):
    total: int
    completed: int
    failed: int


class InputTokensDetails(BaseModel):
    cached_tokens: int


class OutputTokensDetails(BaseModel):
    reasoning_tokens: int


class BatchUsage(BaseModel):
    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class Batch(BaseModel):
    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    model: Annotated[str | None, OMIT_NONE]
    errors: Annotated[BatchErrors | None, OMIT_NONE]
    input_file_id: str
    completion_window: str
    status: BatchStatus
    output_file_id: Annotated[str | None, OMIT_NONE]
    error_file_id: Annotated[str | None, OMIT_NONE]
    created_at: int
    in_progress_at: Annotated[int | None, OMIT_NONE] = None
    expires_at: int
    finalizing_at: Annotated[int | None, OMIT_NONE] = None
    completed_at: Annotated[int | None, OMIT_NONE] = None
    failed_at: Annotated[int | None, OMIT_NONE] = None
    expired_at: Annotated[int | None, OMIT_NONE] = None
    cancelling_at: Annotated[int | None, OMIT_NONE] = None
    cancelled_at: Annotated[int | None, OMIT_NONE] = None
    request_counts: RequestCounts
    usage: BatchUsage
    metadata: dict[str, str]


class BatchList(ListObject[Batch]):
    pass
