"""Wire types of requests to /v1/messages. Unknown fields are refused."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from server.api.anthropic.content_types import Message
from server.api.anthropic.text_types import CacheControl, Text
from server.api.common.generation_types import Probability
from server.api.common.hints import CACHED, CONTEXT_HINT, TIER_HINT, WHO, HintWord
from server.api.common.tool_types import FileSearchTool
from server.api.common.unsupported import Off, Refused, Unsupported
from server.http.fields import STRICT, Label
from server.http.lists import QUERY
from server.http.warnings import Hint

HOSTED_TYPE = r"[a-z_]+_20[0-9]{6}"  # such as web_search_20250305
# the SDKs send the whole conversation after an error of this code
NO_THREADS = Unsupported("thread_unsupported_request", "conversations are not kept here; send all messages")
StopSequence = Annotated[str, StringConstraints(min_length=1)]


class MessagesQuery(BaseModel):
    model_config = QUERY
    beta: Literal["true"] | None = None  # clients append it for preview features


class CustomTool(BaseModel):
    """A tool that the client runs. The grammar makes arguments fit the schema; schemas that it cannot enforce are refused if `strict`,
    else enforced in part."""

    model_config = STRICT
    type: Literal["custom"] | None = None
    name: Label
    description: str | None = None
    input_schema: dict[str, Any]
    strict: bool | None = None
    cache_control: CacheControl | None = None
    eager_input_streaming: bool | None = None  # no effect: arguments are always streamed as they are generated
    allowed_callers: list[Literal["direct"]] | None = None
    defer_loading: bool | None = None  # no effect: the model is shown all tools
    input_examples: list[dict[str, Any]] | None = None  # no effect: the schema says what fits


class ToolConfig(BaseModel):
    model_config = STRICT
    enabled: bool | None = None  # null: the value of default_config; its null: true
    defer_loading: Off = None


class McpToolset(BaseModel):
    """Selects tools of one of `mcp_servers`: those enabled by `configs`, or by default_config if `configs` does not say."""

    model_config = STRICT
    type: Literal["mcp_toolset"]
    mcp_server_name: str
    default_config: ToolConfig = ToolConfig()
    configs: dict[str, ToolConfig] | None = None
    tools: Refused = None
    cache_control: CacheControl | None = None


class HostedTool(BaseModel):
    """A tool that Anthropic runs, or whose input only its own models know. Left out, with a warning, where there are other tools."""

    model_config = ConfigDict(extra="allow", frozen=True)
    type: Annotated[str, StringConstraints(pattern=f"^{HOSTED_TYPE}$")]
    name: str


def _tool_tag(given: Any) -> str:
    kind: Any = given.get("type") if isinstance(given, dict) else getattr(given, "type", None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if isinstance(kind, str):
        return "hosted" if re.fullmatch(HOSTED_TYPE, kind) else kind
    return "custom"


Tool = Annotated[
    Annotated[CustomTool, Tag("custom")]
    | Annotated[McpToolset, Tag("mcp_toolset")]
    | Annotated[FileSearchTool, Tag("file_search")]
    | Annotated[HostedTool, Tag("hosted")],
    Discriminator(
        _tool_tag,
        custom_error_type="unsupported",
        custom_error_message="this server has tools of the types custom, mcp_toolset and file_search",
    ),
]


class ToolConfiguration(BaseModel):
    model_config = STRICT
    enabled: bool | None = None
    allowed_tools: list[str] | None = None


class McpServer(BaseModel):
    """One of the operator's MCP servers: `name` is its label there, `url` is stoa://NAME."""

    model_config = STRICT
    type: Literal["url"]
    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    url: str
    authorization_token: Refused = None
    tool_configuration: ToolConfiguration | None = None


class ChoiceAuto(BaseModel):
    model_config = STRICT
    type: Literal["auto"]
    disable_parallel_tool_use: bool = False


class ChoiceAny(BaseModel):
    model_config = STRICT
    type: Literal["any"]
    disable_parallel_tool_use: bool = False


class ChoiceTool(BaseModel):
    """`name`: of a tool of the client; else of a tool of any of the MCP servers, without their prefix."""

    model_config = STRICT
    type: Literal["tool"]
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    disable_parallel_tool_use: bool = False


class ChoiceNone(BaseModel):
    model_config = STRICT
    type: Literal["none"]


ToolChoice = Annotated[ChoiceAuto | ChoiceAny | ChoiceTool | ChoiceNone, Field(discriminator="type")]


Display = Annotated[HintWord | None, Hint("thoughts are sent as they are", silent=("summarized", "omitted"))]


class ThinkingEnabled(BaseModel):
    """Reasoning and answer share max_tokens. `display` "omitted": thoughts are not sent."""

    model_config = STRICT
    type: Literal["enabled"]
    budget_tokens: Annotated[int, Field(ge=1024, lt=2**31)]
    display: Display = None


class ThinkingDisabled(BaseModel):
    model_config = STRICT
    type: Literal["disabled"]


class ThinkingAdaptive(BaseModel):
    """The model decides whether to think."""

    model_config = STRICT
    type: Literal["adaptive"]
    display: Display = None


Thinking = Annotated[ThinkingEnabled | ThinkingDisabled | ThinkingAdaptive, Field(discriminator="type")]


class JsonFormat(BaseModel):
    model_config = STRICT
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(BaseModel):
    model_config = STRICT
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonFormat | None = None


class Metadata(BaseModel):
    model_config = STRICT
    user_id: Annotated[str, StringConstraints(max_length=512)] | None = None


class CountRequest(BaseModel):
    model_config = STRICT
    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    system: Text | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    mcp_servers: Annotated[list[McpServer], Field(max_length=16)] | None = None
    cache_control: Annotated[CacheControl | None, CACHED] = None


class MessagesRequest(CountRequest):
    max_tokens: Annotated[int, Field(ge=1, lt=2**63)]
    stop_sequences: Annotated[list[StopSequence], Field(max_length=16)] | None = None
    stream: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Probability = None
    top_k: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    metadata: Annotated[Metadata | None, WHO] = None
    service_tier: Annotated[Literal["auto", "standard_only"] | None, TIER_HINT] = None
    speed: Annotated[Literal["standard", "fast"] | None, TIER_HINT] = None
    container: Refused = None
    thread: Annotated[dict[str, Any] | None, NO_THREADS] = None
    context_management: Annotated[dict[str, Any] | None, CONTEXT_HINT] = None
    diagnostics: Annotated[dict[str, Any] | None, Hint("nothing is diagnosed")] = None
    inference_geo: Refused = None
