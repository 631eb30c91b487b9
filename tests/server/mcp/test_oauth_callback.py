"""The redirect of the browser after an OAuth authorization."""

import asyncio

import pytest

from server.mcp.transport.oauth_callback import browser_authorization
from tests.server.conftest import free_port


async def get(port: int, path: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return answer


async def started(port: int) -> None:
    async with asyncio.timeout(5):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()  # a connection without a request is ignored
                return await writer.wait_closed()


def test_whoever_agrees_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    async def work() -> str:
        port = free_port()
        waiting = asyncio.ensure_future(browser_authorization(port)("https://as.example/agree?x=1"))
        await started(port)
        assert (await get(port, "/favicon.ico")).startswith("HTTP/1.1 404 ")
        assert (await get(port, "/callback")).startswith("HTTP/1.1 404 ")
        assert not waiting.done()
        assert (await get(port, "/callback?code=1&state=2")).startswith("HTTP/1.1 200 ")
        return (await waiting).removeprefix(f"http://127.0.0.1:{port}")

    assert asyncio.run(work()) == "/callback?code=1&state=2"
    assert "https://as.example/agree?x=1" in capsys.readouterr().err
