"""A Host around the fixture of mcp_fixture.py."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from server.mcp.builtin import opener
from server.mcp.config.config import ServerSpec, Stdio
from server.mcp.connection.circuit_breaker import RetryPolicy
from server.mcp.connection.connection import Connection
from server.mcp.host import Host
from server.mcp.trust.pins import Pins

FIXTURE = Path(__file__).with_name("mcp_fixture.py")
SECRET = "s3cret-of-the-operator"
QUICK = RetryPolicy(first=0.02, longest=0.1, rest=0.3, waits=5.0)


def fixture(folder: Path) -> ServerSpec:
    """-S and -E: nothing of the environment, and a start in no time."""
    target = Stdio(command=sys.executable, args=("-S", "-E", str(FIXTURE), str(folder)), env={"TOKEN": SECRET})
    return ServerSpec(label="fixture", target=target, timeout=10.0, secrets=(SECRET,))


@asynccontextmanager
async def hosting(folder: Path, spec: ServerSpec | None = None, patience: RetryPolicy = QUICK) -> AsyncGenerator[Host]:
    spec = spec or fixture(folder)
    host = Host([Connection(spec, opener(spec, None), Pins(folder), patience)])
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


async def until(true: Callable[[], bool], patience: float = 20.0) -> None:
    async with asyncio.timeout(patience):
        while not true():
            await asyncio.sleep(0.01)
