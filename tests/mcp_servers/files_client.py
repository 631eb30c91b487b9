"""A file server with a client in this process."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.shared.exceptions import MCPError

from mcp_servers.files import Policy, Root, server

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)


@dataclass(frozen=True)
class Files:
    client: Client

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured content, which the text says as well."""
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        assert result.structured_content is not None
        assert json.loads(getattr(result.content[-1], "text", "")) == result.structured_content
        return result.structured_content

    async def refusal(self, tool: str, **arguments: Any) -> str:
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        return getattr(result.content[0], "text", "")

    async def said(self, tool: str, **arguments: Any) -> str:
        """Whatever comes back, errors too."""
        try:
            result = await self.client.call_tool(tool, arguments)
        except MCPError as error:
            return str(error)
        return result.model_dump_json()


@asynccontextmanager
async def files(*roots: Path | Root, policy: Policy | None = None, write: bool = False, era: Any = "auto") -> AsyncGenerator[Files]:
    given = [root if isinstance(root, Root) else Root(root) for root in roots]
    async with Client(server(given, policy, "write" if write else "read"), mode=era) as client:
        yield Files(client)
