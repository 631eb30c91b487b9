"""GET /v1/mcp/servers: the state of the MCP servers that this server calls."""

from server.api.mcp import types as wire
from server.core.tool_host import HostedTool, ServerStatus
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import query_endpoint
from server.http.lists import NoQuery
from server.runtime.state import ServerState

PATH = "/v1/mcp/servers"


def endpoints(state: ServerState) -> list[Endpoint]:
    return [query_endpoint(state, "GET", list_servers, PATH, "The MCP servers whose tools may be used", NoQuery, wire.McpServerList)]


async def list_servers(context: RequestContext, query: NoQuery) -> wire.McpServerList:
    host = context.runtime.tool_host
    return wire.McpServerList(data=[_to_server(status) for status in host.status()] if host is not None else [])


def _to_server(status: ServerStatus) -> wire.McpServer:
    return wire.McpServer(
        label=status.label,
        kind=status.kind,
        state=status.state,
        since=int(status.since),
        protocol_version=status.protocol_version,
        server_name=status.server_name,
        server_version=status.server_version,
        tools=[_to_tool(tool) for tool in status.tools],
        digest=status.digest,
        pinned=status.pinned,
        last_error=status.last_error,
        notes=list(status.notes),
        restarts=status.restarts,
        calls=status.calls,
        failures=status.failures,
    )


def _to_tool(tool: HostedTool) -> wire.McpTool:
    return wire.McpTool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=dict(tool.input_schema),
        read_only=tool.read_only,
        destructive=tool.destructive,
        idempotent=tool.idempotent,
        open_world=tool.open_world,
        changed=tool.changed,
        allowed=tool.allowed_by_operator,
    )
