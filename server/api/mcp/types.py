"""GET /v1/mcp/servers. An extension."""

from typing import Any, Literal

from pydantic import BaseModel


class McpTool(BaseModel):
    name: str
    title: str
    description: str
    input_schema: dict[str, Any]
    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool
    changed: bool  # not what was pinned: kept from the model until the operator approves it
    allowed: bool  # runs without approval


class McpServer(BaseModel):
    object: Literal["mcp_server"] = "mcp_server"
    label: str
    kind: Literal["builtin", "stdio", "http"]
    state: Literal["connecting", "ready", "waiting", "failed", "stopped"]
    since: int  # Unix time
    protocol_version: str | None
    server_name: str | None
    server_version: str | None
    tools: list[McpTool]
    digest: str | None  # of the list of tools
    pinned: str | None
    last_error: str | None
    notes: list[str]  # tools that are left out, and why; limits of tools that are not there
    restarts: int
    calls: int
    failures: int


class McpServerList(BaseModel):
    object: Literal["list"] = "list"
    data: list[McpServer]
