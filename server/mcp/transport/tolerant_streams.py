"""The two streams of a connection, wrapped so that the SDK never rejects a whole result for a part of it, and that a request whose answer
cannot be read fails at once."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

import anyio
from mcp.client._transport import ReadStream, Transport, TransportStreams, WriteStream
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.message import SessionMessage
from mcp.types import ErrorData, JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse, RequestId
from mcp_types import INVALID_REQUEST
from pydantic import ValidationError

from server.mcp.session import SessionLost
from server.mcp.transport.raw_results import enveloped
from server.mcp.transport.server_guard import ServerGuard
from server.mcp.transport.unreadable import Answer, answer_of, text_of

Message = SessionMessage | Exception
Inner = TypeVar("Inner", WriteStream[SessionMessage], ReadStream[SessionMessage | Exception])


class OpenRequests(dict[RequestId, str]):
    """id -> method, of the requests that await an answer."""

    last: RequestId = 0  # the id of the newest request, answered or not: the SDK counts them

    def add(self, number: RequestId, method: str) -> None:
        self[number], self.last = method, number

    def meant(self, number: RequestId) -> RequestId | None:
        """The request that an answer to `number` is for, where no request ever had that id and only one is open."""
        invented = isinstance(number, int) and isinstance(self.last, int) and not 0 <= number <= self.last
        return next(iter(self)) if len(self) == 1 and number not in self and (invented or isinstance(number, str)) else None


@asynccontextmanager
async def tolerant_streams(transport: Transport, guard: ServerGuard) -> AsyncGenerator[TransportStreams]:
    """The transport; its read stream ends when the guard stops."""
    async with transport as (read, write):
        requests = OpenRequests()
        incoming = IncomingStream(read, requests, guard)
        guard.on_stop.append(incoming.end)
        yield incoming, OutgoingStream(write, requests)


class _Wrapper(Generic[Inner]):
    """Opened and closed with the stream in it."""

    def __init__(self, inner: Inner) -> None:
        self.inner = inner

    async def aclose(self) -> None:
        await self.inner.aclose()

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None:
        return await self.inner.__aexit__(exc_type, exc_val, exc_tb)


class OutgoingStream(_Wrapper[WriteStream[SessionMessage]]):
    """Implements the SDK's WriteStream. Notes the method of each request."""

    def __init__(self, inner: WriteStream[SessionMessage], requests: OpenRequests) -> None:
        super().__init__(inner)
        self._requests = requests

    async def send(self, item: SessionMessage, /) -> None:
        match item.message:
            case JSONRPCRequest(id=number, method=method):
                self._requests.add(coerce_request_id(number), method)
            case JSONRPCNotification(method="notifications/cancelled", params={"requestId": str() | int() as number}):
                self._requests.pop(coerce_request_id(number), None)
            case _:
                pass
        await self.inner.send(item)


class IncomingStream(_Wrapper[ReadStream[Message]]):
    """Implements the SDK's ReadStream."""

    def __init__(self, inner: ReadStream[Message], requests: OpenRequests, guard: ServerGuard) -> None:
        super().__init__(inner)
        self._requests, self._guard = requests, guard
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
            return received if self._guard.takes_message() and self._guard.takes_notification() else None
        if isinstance(received, SessionMessage) and not isinstance(received.message, JSONRPCRequest | JSONRPCNotification):
            received = SessionMessage(_for_whom(received.message, self._requests), received.metadata)
            answered = cast("Answer", received.message)
            method = None if answered.id is None else self._requests.pop(coerce_request_id(answered.id), None)
            if method is None and not self._guard.takes_message():
                return None
            if isinstance(answered, JSONRPCResponse):
                answered.result = enveloped(method, answered.result)
        elif isinstance(received, SessionMessage) and not self._guard.takes_message():
            return None  # a request
        return received

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


def _for_whom(answer: Answer, requests: OpenRequests) -> Answer:
    """The answer; in place of one with an id that was never given, an error for the request that it must be meant for."""
    meant = None if answer.id is None else requests.meant(coerce_request_id(answer.id))
    if meant is None:
        return answer
    problem = "it answered under an id that no request has"
    return JSONRPCError(jsonrpc="2.0", id=meant, error=ErrorData(code=INVALID_REQUEST, message=problem))
