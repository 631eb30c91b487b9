"""Items of OpenAI's specification that this server does not support."""

from typing import Any, Literal

from pydantic import BaseModel

from server.api.responses.types.output_items import Status
from server.api.responses.types.unsupported_tools import ContainerReference, LocalEnvironment


class DirectCaller(BaseModel):
    type: Literal["direct"]


class ProgramCaller(BaseModel):
    type: Literal["program"]
    caller_id: str


Caller = DirectCaller | ProgramCaller


class ComputerCallSafetyCheck(BaseModel):
    id: str
    code: str | None = None
    message: str | None = None


class ComputerScreenshotImage(BaseModel):
    type: Literal["computer_screenshot"]
    image_url: str | None = None
    file_id: str | None = None


class ComputerCallOutput(BaseModel):
    type: Literal["computer_call_output"]
    call_id: str
    output: ComputerScreenshotImage
    id: str | None = None
    acknowledged_safety_checks: list[ComputerCallSafetyCheck] | None = None
    status: Status | None = None


class WebSearchActionSearchSource(BaseModel):
    type: Literal["url"]
    url: str


class WebSearchActionSearch(BaseModel):
    type: Literal["search"]
    query: str | None = None
    queries: list[str] | None = None
    sources: list[WebSearchActionSearchSource] | None = None


class WebSearchActionOpenPage(BaseModel):
    type: Literal["open_page"]
    url: str | None = None


class WebSearchActionFind(BaseModel):
    type: Literal["find_in_page"]
    url: str
    pattern: str


class WebSearchCall(BaseModel):
    type: Literal["web_search_call"]
    id: str
    status: Literal["in_progress", "searching", "completed", "failed"]
    action: WebSearchActionSearch | WebSearchActionOpenPage | WebSearchActionFind


class ToolSearchCall(BaseModel):
    type: Literal["tool_search_call"]
    arguments: dict[str, Any]
    id: str | None = None
    call_id: str | None = None
    execution: Literal["server", "client"] | None = None
    status: Status | None = None


class ImageGenCall(BaseModel):
    type: Literal["image_generation_call"]
    id: str
    status: Literal["in_progress", "completed", "generating", "failed"]
    result: str | None


class CodeInterpreterOutputLogs(BaseModel):
    type: Literal["logs"]
    logs: str


class CodeInterpreterOutputImage(BaseModel):
    type: Literal["image"]
    url: str


class CodeInterpreterCall(BaseModel):
    type: Literal["code_interpreter_call"]
    id: str
    status: Literal["in_progress", "completed", "incomplete", "interpreting", "failed"]
    container_id: str
    code: str | None
    outputs: list[CodeInterpreterOutputLogs | CodeInterpreterOutputImage] | None


class LocalShellExecAction(BaseModel):
    type: Literal["exec"]
    command: list[str]
    env: dict[str, str]
    timeout_ms: int | None = None
    working_directory: str | None = None
    user: str | None = None


class LocalShellCall(BaseModel):
    type: Literal["local_shell_call"]
    id: str
    call_id: str
    action: LocalShellExecAction
    status: Status


class LocalShellToolCallOutput(BaseModel):
    type: Literal["local_shell_call_output"]
    id: str
    output: str
    status: Status | None = None


class ShellAction(BaseModel):
    commands: list[str]
    timeout_ms: int | None = None
    max_output_length: int | None = None


class ShellCall(BaseModel):
    type: Literal["shell_call"]
    call_id: str
    action: ShellAction
    id: str | None = None
    caller: Caller | None = None
    status: Status | None = None
    environment: LocalEnvironment | ContainerReference | None = None


class ShellCallOutputTimeoutOutcome(BaseModel):
    type: Literal["timeout"]


class ShellCallOutputExitOutcome(BaseModel):
    type: Literal["exit"]
    exit_code: int


class ShellCallOutputContent(BaseModel):
    stdout: str
    stderr: str
    outcome: ShellCallOutputTimeoutOutcome | ShellCallOutputExitOutcome


class ShellCallOutput(BaseModel):
    type: Literal["shell_call_output"]
    call_id: str
    output: list[ShellCallOutputContent]
    id: str | None = None
    caller: Caller | None = None
    status: Status | None = None
    max_output_length: int | None = None


class ApplyPatchCreateFileOperation(BaseModel):
    type: Literal["create_file"]
    path: str
    diff: str


class ApplyPatchDeleteFileOperation(BaseModel):
    type: Literal["delete_file"]
    path: str


class ApplyPatchUpdateFileOperation(BaseModel):
    type: Literal["update_file"]
    path: str
    diff: str


class ApplyPatchCall(BaseModel):
    type: Literal["apply_patch_call"]
    call_id: str
    status: Literal["in_progress", "completed"]
    operation: ApplyPatchCreateFileOperation | ApplyPatchDeleteFileOperation | ApplyPatchUpdateFileOperation
    id: str | None = None
    caller: Caller | None = None


class ApplyPatchToolCallOutput(BaseModel):
    type: Literal["apply_patch_call_output"]
    call_id: str
    status: Literal["completed", "failed"]
    id: str | None = None
    caller: Caller | None = None
    output: str | None = None


class CompactionTrigger(BaseModel):
    type: Literal["compaction_trigger"]


class Program(BaseModel):
    type: Literal["program"]
    id: str
    call_id: str
    code: str
    fingerprint: str


class ProgramOutput(BaseModel):
    type: Literal["program_output"]
    id: str
    call_id: str
    result: str
    status: Literal["completed", "incomplete"]


UNSUPPORTED_ITEMS = (
    ComputerCallOutput,
    WebSearchCall,
    ToolSearchCall,
    ImageGenCall,
    CodeInterpreterCall,
    LocalShellCall,
    LocalShellToolCallOutput,
    ShellCall,
    ShellCallOutput,
    ApplyPatchCall,
    ApplyPatchToolCallOutput,
    CompactionTrigger,
    Program,
    ProgramOutput,
)
UNDESCRIBED_ITEMS = ("additional_tools", "computer_call", "tool_search_output")  # described, they would be most of openapi.json
