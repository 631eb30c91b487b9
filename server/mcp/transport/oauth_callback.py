"""Receives the browser's redirect at the end of an OAuth authorization, on a loopback port (RFC 8252, section 7.3)."""

import asyncio
import sys
from asyncio import StreamReader, StreamWriter
from contextlib import suppress

from server.mcp.transport.oauth import Authorize

CONSENT_TIMEOUT = 300.0  # seconds that the user has to agree
SUCCESS_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThank you. This page may be closed."
NOT_FOUND_RESPONSE = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def browser_authorization(port: int) -> Authorize:
    """Prints the authorization URL for the user and waits for the redirect to http://127.0.0.1:PORT/callback."""

    async def authorize(url: str) -> str:
        """The URL is printed, not opened: it comes from the server, which may not be trusted. Raises TimeoutError."""
        redirect: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def handle(reader: StreamReader, writer: StreamWriter) -> None:
            with suppress(OSError, EOFError, asyncio.LimitOverrunError):
                head = await reader.readuntil(b"\r\n\r\n")
                path = (head.split(b" ")[1:2] or [b""])[0].decode(errors="replace")
                is_callback = head.startswith(b"GET ") and path.startswith("/callback?")
                writer.write(SUCCESS_RESPONSE if is_callback else NOT_FOUND_RESPONSE)
                await writer.drain()
                if is_callback and not redirect.done():
                    redirect.set_result(f"http://127.0.0.1:{port}{path}")
            writer.close()

        async with await asyncio.start_server(handle, "127.0.0.1", port):
            print(f"Open this page and agree:\n\n{url}\n", file=sys.stderr)
            return await asyncio.wait_for(redirect, CONSENT_TIMEOUT)

    return authorize
