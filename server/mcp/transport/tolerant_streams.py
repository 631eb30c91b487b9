"""The two streams of a connection, wrapped so that the SDK never rejects a whole result for a part of it, and that a request whose answer
cannot be read fails at once."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import anyio
from mcp.client._transport import ReadStream, Transport, TransportStreams, WriteStream
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCNotification, JSONRPCRequest, JSONRPCResponse, RequestId
from pydantic import ValidationError

from server.mcp.session import SessionLost
from server.mcp.transport.raw_results import enveloped
from server.mcp.transport.server_guard import ServerGuard
from server.mcp.transport.unreadable import answer_of, text_of

Message = SessionMessage | Exception
OpenRequests = dict[RequestId, str]  # id -> method, of the requests that await an answer


@asynccontextmanager
async def tolerant_streams(transport: Transport, guard: ServerGuard) -> AsyncGenerator[TransportStreams]:
    """The transport; its read stream ends when the guard stops."""
    async with transport as (read, write):
        requests = OpenRequests()
        incoming = IncomingStream(read, requests, guard)
        guard.on_stop.append(incoming.end)
        yield incoming, OutgoingStream(write, requests)


class OutgoingStream:
    """Implements the SDK's WriteStream. Notes the method of each request."""

    def __init__(self, inner: WriteStream[SessionMessage], requests: OpenRequests) -> None:
        self.inner, self._requests = inner, requests

    async def send(self, item: SessionMessage, /) -> None:
        match item.message:
            case JSONRPCRequest(id=number, method=method):
                self._requests[coerce_request_id(number)] = method
            case JSONRPCNotification(method="notifications/cancelled", params={"requestId": str() | int() as number}):
                self._requests.pop(coerce_request_id(number), None)
            case _:
                pass
        await self.inner.send(item)

    async def aclose(self) -> None:
        await self.inner.aclose()

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None:
        return await self.inner.__aexit__(exc_type, exc_val, exc_tb)


class IncomingStream:
    """Implements the SDK's ReadStream."""

    def __init__(self, inner: ReadStream[Message], requests: OpenRequests, guard: ServerGuard) -> None:
        self.inner, self._requests, self._guard = inner, requests, guard
        self._receiving: anyio.CancelScope | None = None

    @property
    def last_context(self) -> Any:
        return getattr(self.inner, "last_context", None)

    def end(self) -> None:
        if self._receiving is not None:
            self._receiving.cancel()

    async def receive(self) -> Message:
        """Raises anyio.EndOfStream."""
        while self._guard.loss is None:
            with anyio.CancelScope() as self._receiving:
                received = await self._next()
                if (message := self._readable(received)) is not None:
                    return message
        raise anyio.EndOfStream

    async def _next(self) -> Message:
        try:
            return await self.inner.receive()
        except anyio.EndOfStream:
            self._guard.stop(SessionLost("it went away"))  # before the next call finds that out
            raise

    def _readable(self, received: Message) -> Message | None:
        """None: there is nothing in it that anybody waits for."""
        if isinstance(received, ValidationError):
            answer = answer_of(received, frozenset(self._requests))
            if answer is None:
                self._guard.count_unreadable(text_of(received))
                return None
            received = SessionMessage(answer)
        if isinstance(received, SessionMessage) and isinstance(received.message, JSONRPCNotification):
            return received if self._guard.takes_notification() else None
        if isinstance(received, SessionMessage) and not isinstance(received.message, JSONRPCRequest | JSONRPCNotification):
            answered = received.message
            method = None if answered.id is None else self._requests.pop(coerce_request_id(answered.id), None)
            if isinstance(answered, JSONRPCResponse):
                answered.result = enveloped(method, answered.result)
        return received

    async def aclose(self) -> None:
        await self.inner.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None:
        return await self.inner.__aexit__(exc_type, exc_val, exc_tb)
