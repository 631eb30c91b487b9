"""Cancels the work for clients that disconnect."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from server.core.cost import counted_steps

ROUNDS = 5  # of the event loop until an end of the connection that lies in the socket is told: read, closed, told, received

T = TypeVar("T")


class ClientDisconnected(Exception):
    """The client went away before its answer was there."""


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Awaits `work` for a request that has been received. Raises ClientDisconnected when the client has gone: `work` was cancelled then,
    and has cleaned up."""
    work_task, gone = asyncio.create_task(counted_steps(work)), asyncio.create_task(_wait_for_disconnect(receive))
    try:
        await asyncio.wait((work_task, gone), return_when=asyncio.FIRST_COMPLETED)
        if work_task.done():
            return work_task.result()
        raise ClientDisconnected
    finally:
        for task in (work_task, gone):
            task.cancel()
        await asyncio.gather(work_task, gone, return_exceptions=True)


async def expect_connected(receive: Receive) -> None:
    """Before work that takes long, for a request that has been received. Raises ClientDisconnected where the client went away as soon as
    it had sent all."""
    gone = asyncio.create_task(_wait_for_disconnect(receive))
    for _ in range(ROUNDS):
        await asyncio.sleep(0)
    if gone.done():
        raise ClientDisconnected
    gone.cancel()


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
