"""Wire types of items in responses: output items, and stored input items."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from server.api.common.types import FileCitation
from server.api.responses.types.content import Logprob, ReasoningText, Refusal, SummaryText
from server.http.fields import OMIT_NONE, STRICT
from server.http.lists import Attributes

Status = Literal["in_progress", "completed", "incomplete"]
CallStatus = Literal["in_progress", "completed", "incomplete", "calling", "failed"]


class OutputText(BaseModel):
    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[FileCitation]
    logprobs: list[Logprob]


OutputPart = Annotated[OutputText | Refusal, Field(discriminator="type")]


class OutputMessage(BaseModel):
    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    status: Status
    content: list[OutputPart]
    phase: Annotated[Literal["commentary", "final_answer"] | None, OMIT_NONE] = None


class ReasoningItem(BaseModel):
    """`encrypted_content`: the reasoning text encoded (not encrypted: it is in `content`, too), if `include` asks for it, for clients
    that send back nothing else."""

    id: str
    type: Literal["reasoning"] = "reasoning"
    summary: list[SummaryText]
    content: list[ReasoningText]
    encrypted_content: str | None
    status: Status


class FunctionToolCall(BaseModel):
    id: str
    type: Literal["function_call"] = "function_call"
    call_id: str
    name: str
    arguments: str
    status: Status
    namespace: Annotated[str | None, OMIT_NONE] = None
    caller: Annotated[dict[str, Any] | None, OMIT_NONE] = None


class CustomToolCallItem(BaseModel):
    id: str
    type: Literal["custom_tool_call"] = "custom_tool_call"
    call_id: str
    name: str
    input: str
    status: Status  # extension
    namespace: Annotated[str | None, OMIT_NONE] = None
    caller: Annotated[dict[str, Any] | None, OMIT_NONE] = None


class FileSearchResult(BaseModel):
    """`text`: the passage in the prompt. The fields from chunk_id on are extensions."""

    model_config = STRICT
    file_id: str
    filename: str
    score: float
    text: str
    attributes: Attributes | None = None
    chunk_id: int = 0
    vector_store_id: str = ""
    page: int | None = None
    headings: list[str] = []
    start: int = 0
    end: int = 0
    start_seconds: float | None = None
    end_seconds: float | None = None
    picture: str | None = None
    url: str = ""


class FileSearchToolCall(BaseModel):
    """`results[n - 1]` is what a citation mark [n] in the answer refers to; null unless `include` asks for results."""

    id: str
    type: Literal["file_search_call"] = "file_search_call"
    status: Literal["in_progress", "searching", "completed", "incomplete", "failed"]
    queries: list[str]
    results: list[FileSearchResult] | None


class ListedTool(BaseModel):
    model_config = STRICT
    name: str
    description: str | None = None
    input_schema: dict[str, Any]
    annotations: dict[str, Any] | None = None


class McpToolList(BaseModel):
    id: str
    type: Literal["mcp_list_tools"] = "mcp_list_tools"
    server_label: str
    tools: list[ListedTool]
    error: str | None


class McpProtocolError(BaseModel):
    model_config = STRICT
    type: Literal["mcp_protocol_error"] = "mcp_protocol_error"
    code: int
    message: str


class McpExecutionError(BaseModel):
    model_config = STRICT
    type: Literal["mcp_tool_execution_error"] = "mcp_tool_execution_error"
    content: list[dict[str, Any]]


class HttpError(BaseModel):
    model_config = STRICT
    type: Literal["http_error"] = "http_error"
    code: int
    message: str


McpError = Annotated[McpProtocolError | McpExecutionError | HttpError, Field(discriminator="type")]


class McpToolCall(BaseModel):
    id: str
    type: Literal["mcp_call"] = "mcp_call"
    server_label: str
    name: str
    arguments: str
    output: str | None
    error: McpError | None
    status: CallStatus
    approval_request_id: str | None


class McpApprovalRequestItem(BaseModel):
    id: str
    type: Literal["mcp_approval_request"] = "mcp_approval_request"
    server_label: str
    name: str
    arguments: str


class CompactionItem(BaseModel):
    """Stands for the conversation before it. `encrypted_content`: only this server opens it, and only for the owner it was made for."""

    id: str
    type: Literal["compaction"] = "compaction"
    encrypted_content: str


OutputItem = Annotated[
    OutputMessage
    | ReasoningItem
    | FunctionToolCall
    | CustomToolCallItem
    | FileSearchToolCall
    | McpToolList
    | McpToolCall
    | McpApprovalRequestItem
    | CompactionItem,
    Field(discriminator="type"),
]


class InputTextContent(BaseModel):
    type: Literal["input_text"] = "input_text"
    text: str


class InputImageContent(BaseModel):
    """What the server keeps is named by its file."""

    type: Literal["input_image"] = "input_image"
    image_url: str | None
    file_id: str | None
    detail: Literal["low", "high", "auto", "original"]


InputContent = Annotated[InputTextContent | InputImageContent, Field(discriminator="type")]


class InputMessage(BaseModel):
    id: str
    type: Literal["message"] = "message"
    role: Literal["user", "system", "developer"]
    status: Status
    content: list[InputContent]


class FunctionToolCallOutput(BaseModel):
    id: str
    type: Literal["function_call_output"] = "function_call_output"
    call_id: str
    output: str | list[InputContent]
    status: Status
    name: Annotated[str | None, OMIT_NONE] = None


class CustomToolCallOutputItem(BaseModel):
    id: str
    type: Literal["custom_tool_call_output"] = "custom_tool_call_output"
    call_id: str
    output: str | list[InputContent]
    status: Status  # extension
    name: Annotated[str | None, OMIT_NONE] = None


class McpApprovalResponseItem(BaseModel):
    id: str
    type: Literal["mcp_approval_response"] = "mcp_approval_response"
    request_id: str  # the same as approval_request_id
    approval_request_id: str
    approve: bool
    reason: str | None


MessageItem = Annotated[InputMessage | OutputMessage, Field(discriminator="role")]
StoredItem = (
    MessageItem
    | ReasoningItem
    | FunctionToolCall
    | FunctionToolCallOutput
    | CustomToolCallItem
    | CustomToolCallOutputItem
    | FileSearchToolCall
    | McpToolList
    | McpToolCall
    | McpApprovalRequestItem
    | McpApprovalResponseItem
    | CompactionItem
)


class ItemList(BaseModel):
    object: Literal["list"] = "list"
    data: list[StoredItem]
    first_id: str  # "" where there is none
    last_id: str
    has_more: bool
