"""A McpHost with the server of mcp_fixture.py."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from server.mcp.builtin import session_opener
from server.mcp.config.server_spec import ServerSpec, Stdio
from server.mcp.connection.connection import Connection
from server.mcp.connection.retry_policy import RetryPolicy
from server.mcp.host import McpHost
from server.mcp.trust.pins import ToolPins

FIXTURE = Path(__file__).with_name("mcp_fixture.py")
SECRET = "s3cret-of-the-operator"
QUICK = RetryPolicy(initial_delay=0.02, max_delay=0.1, open_seconds=0.3, connect_wait=20.0)


def fixture(folder: Path) -> ServerSpec:
    """-S and -E: a fast start, independent of the environment."""
    target = Stdio(command=sys.executable, args=("-S", "-E", str(FIXTURE), str(folder)), env={"TOKEN": SECRET})
    return ServerSpec(label="fixture", target=target, timeout=10.0, secrets=(SECRET,))


@asynccontextmanager
async def hosting(folder: Path, spec: ServerSpec | None = None, retry_policy: RetryPolicy = QUICK) -> AsyncGenerator[McpHost]:
    spec = spec or fixture(folder)
    host = McpHost([Connection(spec, session_opener(spec, None), ToolPins(folder), retry_policy)])
    await host.start()
    try:
        yield host
    finally:
        await host.close()


def trusting(folder: Path) -> ServerSpec:
    return replace(fixture(folder), trusted=True, allow=("echo",))


def log(folder: Path) -> list[str]:
    path = folder / "log"
    return path.read_text().splitlines() if path.exists() else []


async def until(condition: Callable[[], bool], timeout: float = 20.0) -> None:
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.01)
