"""Wire types of the tools that the server runs: file search and MCP. Chat completions and responses share them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from server.api.common.search.filter_types import Filter, MaxResults, RankingOptions
from server.api.common.unsupported import UNSUPPORTED, supports_only
from server.http.fields import STRICT
from server.http.lists import Id

Connector = Literal[
    "connector_dropbox",
    "connector_gmail",
    "connector_googlecalendar",
    "connector_googledrive",
    "connector_microsoftteams",
    "connector_outlookcalendar",
    "connector_outlookemail",
    "connector_sharepoint",
]
ServerLabel = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class FileSearchTool(BaseModel):
    """Searches these vector stores before the answer. Without score_threshold the server decides what is relevant."""

    model_config = STRICT
    type: Literal["file_search"]
    vector_store_ids: Annotated[list[Id], Field(min_length=1, max_length=16)]
    filters: Filter | None = None
    max_num_results: MaxResults | None = None  # at most; fewer where the context has no room
    ranking_options: RankingOptions | None = None


class FileSearchChoice(BaseModel):
    """Has no effect: the documents are searched whenever the tool is given."""

    model_config = STRICT
    type: Literal["file_search"]


class ToolNames(BaseModel):
    """Selects the tools that fit both fields; null fits all. With both null it selects none."""

    model_config = STRICT
    tool_names: list[str] | None = None
    read_only: bool | None = None


class Approvals(BaseModel):
    """Which calls need an approval. With `never`: all but those; with `always` alone: those, and all tools that are not read-only."""

    model_config = STRICT
    always: ToolNames | None = None
    never: ToolNames | None = None


class McpTool(BaseModel):
    """Tools of an MCP server that the operator has configured under the name `server_label`. The model reads server_description before
    the first of them. Without require_approval the tools that are not read-only need an approval."""

    model_config = STRICT
    type: Literal["mcp"]
    server_label: ServerLabel
    server_description: Annotated[str, StringConstraints(max_length=1024)] | None = None
    allowed_tools: list[str] | ToolNames | None = None
    require_approval: Literal["always", "never"] | Approvals | None = None
    server_url: Annotated[str | None, UNSUPPORTED] = None
    connector_id: Annotated[Connector | None, UNSUPPORTED] = None
    tunnel_id: Annotated[str | None, UNSUPPORTED] = None
    authorization: Annotated[str | None, UNSUPPORTED] = None
    headers: Annotated[dict[str, str] | None, UNSUPPORTED] = None
    allowed_callers: Annotated[list[Literal["direct", "programmatic"]] | None, UNSUPPORTED] = None
    defer_loading: Annotated[bool | None, supports_only(False)] = None


class McpChoice(BaseModel):
    """`name` null: any of that server's tools."""

    model_config = STRICT
    type: Literal["mcp"]
    server_label: ServerLabel
    name: str | None = None
