"""A transport whose servers may leave out resultType. MCP 2026-07-28: a result without one is complete; the SDK refuses it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from mcp.client._transport import ReadStream, Transport, TransportStreams
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCResponse

Message = SessionMessage | Exception


@asynccontextmanager
async def completing(transport: Transport) -> AsyncGenerator[TransportStreams]:
    """On connections of older revisions the SDK drops the field again."""
    async with transport as (read, write):
        yield Completing(read), write


class Completing:
    """Implements the SDK's ReadStream."""

    def __init__(self, inner: ReadStream[Message]) -> None:
        self.inner = inner

    @property
    def last_context(self) -> Any:
        return getattr(self.inner, "last_context", None)

    async def receive(self) -> Message:
        return _completed(await self.inner.receive())

    async def aclose(self) -> None:
        await self.inner.aclose()

    def __aiter__(self) -> ReadStream[Message]:
        return self

    async def __anext__(self) -> Message:
        return _completed(await self.inner.__anext__())

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None:
        return await self.inner.__aexit__(exc_type, exc_val, exc_tb)


def _completed(message: Message) -> Message:
    if isinstance(message, SessionMessage) and isinstance(message.message, JSONRPCResponse):
        message.message.result.setdefault("resultType", "complete")
    return message
