"""Where the browser comes back to, after somebody has agreed that a server may be used (RFC 8252, 7.3)."""

import asyncio
import sys
from asyncio import StreamReader, StreamWriter
from contextlib import suppress

from server.mcp.transport.oauth import Authorize

PATIENCE = 300.0  # seconds
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThank you. This page may be closed."
OTHER = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def authorize(port: int) -> Authorize:
    async def ask(url: str) -> str:
        """The URL is shown, not opened: it is a stranger's."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def came_back(reader: StreamReader, writer: StreamWriter) -> None:
            with suppress(OSError, EOFError, asyncio.LimitOverrunError):
                head = await reader.readuntil(b"\r\n\r\n")
                path = (head.split(b" ")[1:2] or [b""])[0].decode(errors="replace")
                ours = head.startswith(b"GET ") and path.startswith("/callback?")
                writer.write(PAGE if ours else OTHER)
                await writer.drain()
                if ours and not answer.done():
                    answer.set_result(f"http://127.0.0.1:{port}{path}")
            writer.close()

        async with await asyncio.start_server(came_back, "127.0.0.1", port):
            print(f"Open this page and agree:\n\n{url}\n", file=sys.stderr)
            return await asyncio.wait_for(answer, PATIENCE)

    return ask
