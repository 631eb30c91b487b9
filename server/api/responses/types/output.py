"""Items as the server shows them: those of an answer, and those that it has been sent."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from server.api.common.types import FileCitation
from server.api.responses.types.content import Logprob, ReasoningText, Refusal, SummaryText
from server.http.fields import OMITTED, STRICT
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
    phase: Annotated[Literal["commentary", "final_answer"] | None, OMITTED] = None


class ReasoningItem(BaseModel):
    """A model's thoughts. `encrypted_content`: the same once more, if `include` asks for it, for clients that keep nothing else;
    there is nothing to hide, as they can be read beside it."""

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
    namespace: Annotated[str | None, OMITTED] = None
    caller: Annotated[dict[str, Any] | None, OMITTED] = None


class FileSearchResult(BaseModel):
    """`text` is the passage that the model got to read. From chunk_id on: extensions."""

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


class FileSearchToolCall(BaseModel):
    """`results[n - 1]` is what a mark [n] of the answer stands for; null unless asked for by `include`."""

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


class McpTools(BaseModel):
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


class McpApproval(BaseModel):
    id: str
    type: Literal["mcp_approval_request"] = "mcp_approval_request"
    server_label: str
    name: str
    arguments: str


OutputItem = Annotated[
    OutputMessage | ReasoningItem | FunctionToolCall | FileSearchToolCall | McpTools | McpToolCall | McpApproval,
    Field(discriminator="type"),
]


class ReadText(BaseModel):
    type: Literal["input_text"] = "input_text"
    text: str


class InputMessage(BaseModel):
    id: str
    type: Literal["message"] = "message"
    role: Literal["user", "system", "developer"]
    status: Status
    content: list[ReadText]


class FunctionToolCallOutput(BaseModel):
    id: str
    type: Literal["function_call_output"] = "function_call_output"
    call_id: str
    output: str | list[ReadText]
    status: Status
    name: Annotated[str | None, OMITTED] = None


class McpApprovalAnswer(BaseModel):
    id: str
    type: Literal["mcp_approval_response"] = "mcp_approval_response"
    request_id: str  # the same as approval_request_id
    approval_request_id: str
    approve: bool
    reason: str | None


Said = Annotated[InputMessage | OutputMessage, Field(discriminator="role")]
Resource = (
    Said
    | ReasoningItem
    | FunctionToolCall
    | FunctionToolCallOutput
    | FileSearchToolCall
    | McpTools
    | McpToolCall
    | McpApproval
    | McpApprovalAnswer
)


class ItemList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Resource]
    first_id: str | None
    last_id: str | None
    has_more: bool
