"""Accepts results without resultType. MCP 2026-07-28 defines such a result as complete; the SDK rejects it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from mcp.client._transport import ReadStream, Transport, TransportStreams
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCResponse

Message = SessionMessage | Exception


@asynccontextmanager
async def with_default_result_type(transport: Transport) -> AsyncGenerator[TransportStreams]:
    """The transport, with resultType "complete" added where it is missing. With older protocol revisions the SDK drops the field."""
    async with transport as (read, write):
        yield DefaultResultTypeStream(read), write


class DefaultResultTypeStream:
    """Implements the SDK's ReadStream."""

    def __init__(self, inner: ReadStream[Message]) -> None:
        self.inner = inner

    @property
    def last_context(self) -> Any:
        return getattr(self.inner, "last_context", None)

    async def receive(self) -> Message:
        return _add_result_type(await self.inner.receive())

    async def aclose(self) -> None:
        await self.inner.aclose()

    def __aiter__(self) -> ReadStream[Message]:
        return self

    async def __anext__(self) -> Message:
        return _add_result_type(await self.inner.__anext__())

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None:
        return await self.inner.__aexit__(exc_type, exc_val, exc_tb)


def _add_result_type(message: Message) -> Message:
    if isinstance(message, SessionMessage) and isinstance(message.message, JSONRPCResponse):
        message.message.result.setdefault("resultType", "complete")
    return message
