"""Ends the process of a server that hangs. The SDK's transport closes the process's standard input first and waits until all that was
written is read, without a limit: a process that reads nothing, or is stopped, would keep the connection open for ever."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from mcp.client._transport import Transport, TransportStreams

REAPING = 2.0  # seconds that the news of a process's end may take
GRACE = 6.0  # seconds that the SDK may take: it waits, sends SIGTERM, waits, and sends SIGKILL, about 5 s in all


@asynccontextmanager
async def killed_when_hanging(transport: Transport) -> AsyncGenerator[TransportStreams]:
    """The transport of a process. It is closed within GRACE and a moment."""
    killer: asyncio.Task[None] | None = None
    process: Any = None
    try:
        async with transport as streams:
            process = _process_of(transport)
            try:
                yield streams
            finally:
                killer = asyncio.create_task(_kill_later(process), name="mcp kill") if process else None
    finally:
        if killer is not None:
            killer.cancel()
        if process is not None:
            await _reaped(process)


async def _reaped(process: Any) -> None:
    """Until the event loop knows that it has ended, which a loaded machine may tell it late: Python warns of a process that is
    forgotten before."""
    with anyio.move_on_after(REAPING, shield=True):
        await process.wait()


def _process_of(transport: Any) -> Any:
    """The SDK shows it nowhere: it is a variable of the generator behind the transport. None: not there any more."""
    frame = getattr(getattr(transport, "gen", None), "ag_frame", None)
    return frame.f_locals.get("process") if frame is not None else None


async def _kill_later(process: Any) -> None:
    await asyncio.sleep(GRACE)
    with suppress(ProcessLookupError, PermissionError):
        if os.name == "posix" and os.getpgid(process.pid) == process.pid:  # with what it has started; never our own group
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
