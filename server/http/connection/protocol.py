"""uvicorn's HTTP protocol with limits: how long a header may take, a body that nobody reads any more, and a client that reads nothing;
how many connections may be open; what counts as a request."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from server.core.cost import RequestCost
from server.core.errors import ApiError
from server.http.connection.framing import StrictConnection
from server.http.connection.open_connections import OpenConnections
from server.http.connection.unread import has_hung_up, waiting_bytes
from server.runtime.throttle import Throttle

HEADER_SECONDS = 15.0  # from the first byte of a request, or from the connection, to the end of its header
UNREAD_BODY_SECONDS = 10.0  # how long the rest of a body may come whose request has been answered
LARGE_REQUEST = 64 << 10  # bytes that have come before the connection is accepted; who is in debt is not read at once then
FREE_SECONDS = 0.002  # of processor time for what comes at once; what takes longer has odd framing
STALLED_SECONDS = 120.0  # how long a client may read nothing of an answer that waits for it


class HeldFlow(FlowControl):
    """Reads nothing while it is held, whatever the application asks for."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._held = False

    def hold(self) -> None:
        self._transport.pause_reading()
        self._held = True

    def release(self) -> None:
        if self._held and not self.read_paused:
            self._transport.resume_reading()
        self._held = False

    def resume_reading(self) -> None:
        if self._held:
            self.read_paused = False
        else:
            super().resume_reading()


class LimitedProtocol(H11Protocol):
    def __init__(self, config: Config, *args: Any, connections: OpenConnections, throttle: Throttle, **options: Any) -> None:
        super().__init__(config, *args, **options)
        limit = config.h11_max_incomplete_event_size
        self.conn = StrictConnection(h11.SERVER, *(() if limit is None else (limit,)))
        self._open, self._throttle = connections, throttle
        self._flow: HeldFlow | None = None
        self._refused = self._deferred = False
        self._timer: asyncio.TimerHandle | None = None  # of the header, or of the unread rest of a body
        self._stalled: asyncio.TimerHandle | None = None

    # OpenConnection

    @property
    def address(self) -> str:
        return self.client[0] if self.client else ""

    @property
    def idle(self) -> bool:
        cycle = self._current
        return cycle is None or cycle.response_complete

    def abort(self) -> None:
        self.transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = self._flow = HeldFlow(transport)
        if not self._open.add(self):
            self._send_refusal(ApiError(503, "too many connections are open; try again later", code="too_many_connections"))
            return
        self._start_timer(HEADER_SECONDS, self._header_late)
        if seconds := self._throttle.deferral(self.address):
            self._defer(seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.remove(self)
        self._open.resume(self)
        if self._deferred:
            self._throttle.abandoned(RequestCost(self.address))
        self._stop_timer()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            super().data_received(data)
            self._watch_header()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_SECONDS, self.abort)

    def resume_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    # H11Protocol

    def handle_events(self) -> None:
        """Reading goes on when this is paid for, where it takes much: a body in chunks of a byte is some 5 µs of work a byte."""
        began = time.thread_time()
        self.conn.start_round()
        super().handle_events()
        seconds = time.thread_time() - began
        if self._refused:
            return
        if self.conn.interrupted or seconds > FREE_SECONDS:
            self._hold(self._throttle.framing_delay(self.address, seconds))
        elif self._flow is not None:
            self._flow.release()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self._start_timer(UNREAD_BODY_SECONDS, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls for h11.RemoteProtocolError."""
        error = self.conn.error
        status, told = (error.error_status_hint, str(error)) if error else (400, msg)
        self._refuse(ApiError(status, f"this is no HTTP request that is answered: {told}", code="invalid_http"))

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """From here on another protocol has the connection."""
        self._stop_timer()
        self._open.remove(self)
        super().handle_websocket_upgrade(event)

    def _defer(self, seconds: float) -> None:
        """What comes of an address that is in debt is read later where it is much, and never where nobody waits for the answer."""
        self._deferred = (gone := has_hung_up(self.transport)) or waiting_bytes(self.transport) >= LARGE_REQUEST
        if gone:
            self.abort()
        elif self._deferred:
            self._open.defer(self)
            self._hold(seconds)

    def _hold(self, seconds: float) -> None:
        if self._flow is not None and not self.transport.is_closing():
            self._flow.hold()
            self.loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._deferred = False
        self._open.resume(self)
        if self._flow is None or self._refused or self.transport.is_closing():
            return
        if self.conn.interrupted:
            self.handle_events()
            self._watch_header()
        else:
            self._flow.release()

    def _watch_header(self) -> None:
        if self._awaits_header():
            if self._timer is None:
                self._start_timer(HEADER_SECONDS, self._header_late)
        elif not self.idle:
            self._stop_timer()

    @property
    def _current(self) -> RequestResponseCycle | None:
        """The latest request. (uvicorn declares it as never None.)"""
        return self.cycle

    def _awaits_header(self) -> bool:
        """Bytes of a request have come, but not all of its header. (Without any, uvicorn's keep-alive timer runs.)"""
        return self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])

    def _header_late(self) -> None:
        if self.conn.trailing_data[0]:
            told = f"the header of the request did not arrive within {HEADER_SECONDS:.0f} seconds"
            self._refuse(ApiError(408, told, code="timeout"))
        else:
            self.transport.close()

    def _refuse(self, error: ApiError) -> None:
        """Answers, unless an answer has begun, and closes the connection, when the client has paid for it."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        if self._flow is not None:
            self._flow.hold()
        self.loop.call_later(self._throttle.refusal_delay(RequestCost(self.address)), self._send_refusal, error)

    def _send_refusal(self, error: ApiError) -> None:
        if self.transport.is_closing():
            return
        if (cycle := self._current) is not None and cycle.response_started and not cycle.response_complete:
            self.transport.close()
            return
        body = error.body()
        head = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        self.transport.write(f"{head}\r\nconnection: close\r\n\r\n".encode() + body)
        self.transport.close()

    def _start_timer(self, seconds: float, then: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, then)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def limited_protocol(connections: OpenConnections, throttle: Throttle) -> Callable[..., LimitedProtocol]:
    """As uvicorn's option `http` takes it."""
    return partial(LimitedProtocol, connections=connections, throttle=throttle)
