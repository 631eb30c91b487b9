"""Our MCP servers in the running product, as another MCP client sees them."""

import asyncio

from server.mcp.config.server_spec import Http
from server.mcp.transport.connect import connect
from server.mcp.transport.raw_results import raw_call_result
from tests.server.conftest import Running


def test_the_knowledge_base_is_there_for_other_clients(server: Running) -> None:
    async def run() -> None:
        async with connect(Http(url=f"{server.url}/mcp/knowledge")) as client:
            assert "search" in [tool.name for tool in (await client.list_tools()).tools]
            found = raw_call_result(await client.call_tool("search", {"query": "Where do walruses sleep?"}))
            assert not found.get("isError") and "passages" in found["structuredContent"]

    asyncio.run(run())
