"""Wire types of items in requests: messages, tool outputs, approvals, and items of earlier responses."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, StringConstraints, Tag

from server.api.common.unsupported import UNSUPPORTED
from server.api.responses.types.content import AssistantPart, InputPart, ItemId, ReasoningText, SummaryText
from server.api.responses.types.output_items import CallStatus, FileSearchResult, ListedTool, McpError, Status
from server.api.responses.types.unsupported import UnsupportedVariants, kind_of
from server.api.responses.types.unsupported_items import UNDESCRIBED_ITEMS, UNSUPPORTED_ITEMS, Caller
from server.http.fields import STRICT

CallId = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Phase = Literal["commentary", "final_answer"]


class Message(BaseModel):
    model_config = STRICT
    type: Literal["message"] = "message"
    role: Literal["user", "system", "developer"]
    content: str | Annotated[list[InputPart], Field(min_length=1)]
    id: ItemId | None = None
    status: Status | None = None
    phase: Annotated[Phase | None, UNSUPPORTED] = None


class AssistantMessage(BaseModel):
    """Takes a response's output item unchanged."""

    model_config = STRICT
    type: Literal["message"] = "message"
    role: Literal["assistant"]
    content: str | list[AssistantPart]
    id: ItemId | None = None
    status: Status | None = None
    phase: Phase | None = None  # no effect


class Reasoning(BaseModel):
    """The model reads `content`, else `encrypted_content`, else `summary`."""

    model_config = STRICT
    type: Literal["reasoning"]
    id: ItemId | None = None
    summary: list[SummaryText] = []
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None
    status: Status | None = None


class FunctionCall(BaseModel):
    model_config = STRICT
    type: Literal["function_call"]
    call_id: CallId
    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    arguments: str  # JSON text of an object, or whatever a model wrote
    id: ItemId | None = None
    status: Status | None = None
    namespace: str | None = None  # of the tool
    caller: Annotated[Caller | None, UNSUPPORTED] = None


class FunctionCallOutput(BaseModel):
    model_config = STRICT
    type: Literal["function_call_output"]
    call_id: CallId
    output: str | list[InputPart]
    id: ItemId | None = None
    status: Status | None = None
    name: str | None = None  # must be the name in the call
    namespace: str | None = None  # of the tool
    caller: Annotated[Caller | None, UNSUPPORTED] = None


class CustomToolCall(BaseModel):
    model_config = STRICT
    type: Literal["custom_tool_call"]
    call_id: CallId
    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    input: str
    id: ItemId | None = None
    status: Status | None = None
    namespace: str | None = None
    caller: Annotated[Caller | None, UNSUPPORTED] = None


class CustomToolCallOutput(BaseModel):
    model_config = STRICT
    type: Literal["custom_tool_call_output"]
    call_id: CallId
    output: str | list[InputPart]
    id: ItemId | None = None
    status: Status | None = None
    name: str | None = None
    caller: Annotated[Caller | None, UNSUPPORTED] = None


class FileSearchCall(BaseModel):
    """No effect: each request searches anew."""

    model_config = STRICT
    type: Literal["file_search_call"]
    queries: list[str]
    id: ItemId | None = None
    status: Literal["in_progress", "searching", "completed", "incomplete", "failed"] | None = None
    results: list[FileSearchResult] | None = None


class McpListTools(BaseModel):
    model_config = STRICT
    type: Literal["mcp_list_tools"]
    server_label: str
    tools: list[ListedTool]
    id: ItemId | None = None
    error: str | None = None


class McpCall(BaseModel):
    model_config = STRICT
    type: Literal["mcp_call"]
    server_label: str
    name: str
    arguments: str
    id: ItemId | None = None
    output: str | None = None
    error: McpError | None = None
    status: CallStatus | None = None
    approval_request_id: str | None = None


class McpApprovalRequest(BaseModel):
    model_config = STRICT
    type: Literal["mcp_approval_request"]
    id: ItemId
    server_label: str
    name: str
    arguments: str


class McpApprovalResponse(BaseModel):
    model_config = STRICT
    type: Literal["mcp_approval_response"]
    approval_request_id: ItemId
    approve: bool
    id: ItemId | None = None
    reason: Annotated[str, StringConstraints(max_length=4096)] | None = None
    request_id: ItemId | None = None  # if given, the same as approval_request_id


class Compaction(BaseModel):
    """Of this server, made for the same owner. What stands before it is forgotten, except what users and the system have said."""

    model_config = STRICT
    type: Literal["compaction"]
    encrypted_content: Annotated[str, StringConstraints(max_length=20 * 2**20)]
    id: ItemId | None = None


class ItemReference(BaseModel):
    """Refers to an item of this conversation or of a stored response."""

    model_config = STRICT
    type: Literal["item_reference"] | None = None
    id: ItemId


def _item_tag(given: Any) -> str:
    """Selects the type of an item; messages and references need no `type`."""
    fields: dict[str, Any] = given if isinstance(given, dict) else getattr(given, "__dict__", {})  # pyright: ignore[reportUnknownVariableType]
    kind = kind_of(fields)
    if kind == "message" or (not kind and "role" in fields):
        return "assistant_message" if fields.get("role") == "assistant" else "message"
    return kind or "item_reference"


InputItem = Annotated[
    Annotated[Message, Tag("message")]
    | Annotated[AssistantMessage, Tag("assistant_message")]
    | Annotated[Reasoning, Tag("reasoning")]
    | Annotated[FunctionCall, Tag("function_call")]
    | Annotated[FunctionCallOutput, Tag("function_call_output")]
    | Annotated[CustomToolCall, Tag("custom_tool_call")]
    | Annotated[CustomToolCallOutput, Tag("custom_tool_call_output")]
    | Annotated[FileSearchCall, Tag("file_search_call")]
    | Annotated[McpListTools, Tag("mcp_list_tools")]
    | Annotated[McpCall, Tag("mcp_call")]
    | Annotated[McpApprovalRequest, Tag("mcp_approval_request")]
    | Annotated[McpApprovalResponse, Tag("mcp_approval_response")]
    | Annotated[Compaction, Tag("compaction")]
    | Annotated[ItemReference, Tag("item_reference")],
    Discriminator(_item_tag, custom_error_type="unknown_type", custom_error_message="There are no items of this type here"),
    UnsupportedVariants("items", UNSUPPORTED_ITEMS, UNDESCRIBED_ITEMS),
]
