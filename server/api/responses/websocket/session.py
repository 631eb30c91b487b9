"""GET /v1/responses as a WebSocket: each `response.create` of the client is answered with the events of a stream, one response after the
other. Errors are events, and the connection goes on."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

from starlette.types import Message, Receive, Scope, Send

from server.api.responses.events.sse import event_json
from server.api.responses.run import all_events, prepare_run
from server.api.responses.types.websocket import ResponseCreate
from server.api.responses.websocket.memory import ConnectionMemory
from server.api.responses.websocket.pending import Pending
from server.api.responses.websocket.warm_up import warm_up
from server.core import logs
from server.core.cost import CURRENT, RequestCost, counted_steps, current_account
from server.core.errors import ApiError
from server.core.messages import Json
from server.http.body import parse_body
from server.http.connection.websocket import Activity, activity_of
from server.http.handlers import request_context
from server.runtime.state import ServerState

LOG = logging.getLogger("stoa")
ROUTE = "/v1/responses (websocket)"  # in metrics
CONNECTION_SECONDS = 3600.0
NORMAL_CLOSURE = 1000  # RFC 6455, 7.4.1
INTERNAL_ERROR = ApiError(500, "something went wrong in the server; its log says what", code="internal_error")
LIMIT_REACHED = ApiError(
    400,
    "Responses websocket connection limit reached (60 minutes). Create a new websocket connection to continue.",
    code="websocket_connection_limit_reached",
)
TOO_MANY = ApiError(429, "too many messages wait on this connection: wait for the responses before", code="too_many_pending")


class Gone(Exception):
    """The client has closed the connection."""


@dataclass(slots=True)
class Session:
    state: ServerState
    scope: Scope
    send: Send
    activity: Activity
    pending: Pending
    memory: ConnectionMemory = field(default_factory=ConnectionMemory)

    async def run(self, receive: Receive) -> None:
        """Until the client goes, which aborts what is being generated, or the connection is too old."""
        answering = asyncio.create_task(self._answer_all())
        reading = asyncio.create_task(self._read_all(receive))
        try:
            await asyncio.wait((answering, reading), return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                with suppress(Gone):
                    answering.result()
        finally:
            if self.activity.busy:
                self.state.metrics.client_disconnected()
            for task in (answering, reading):
                task.cancel()
            await asyncio.gather(answering, reading, return_exceptions=True)

    async def _read_all(self, receive: Receive) -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            if not self.pending.add(_content(message)):
                await self._send_error(TOO_MANY, None)

    async def _answer_all(self) -> None:
        deadline = time.monotonic() + CONNECTION_SECONDS
        while True:
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    message = await self.pending.take()
            except TimeoutError:
                await self._send_error(LIMIT_REACHED, None)
                await self.send({"type": "websocket.close", "code": NORMAL_CLOSURE})
                return
            self.activity.busy = True
            with self.state.count_request():
                await self._answer(message)
            self.activity.busy = False

    async def _answer(self, message: bytes) -> None:
        started, status, body, throttle = time.perf_counter(), 200, None, self.state.throttle
        cost = RequestCost(current_account(), received=len(message), pause=throttle.pause)
        token = CURRENT.set(cost)
        try:
            body = await parse_body(ResponseCreate, message)
            await counted_steps(self._respond(body))
            throttle.note_served()
        except ApiError as error:
            status = error.status
            await asyncio.sleep(throttle.refusal_delay(cost))
            self.memory.forget(body.previous_response_id if body else None)
            await self._send_error(error, body.stream_id if body else None)
        except Gone:
            raise
        except Exception as error:
            status = INTERNAL_ERROR.status
            LOG.error("a response on a WebSocket failed", exc_info=error)
            await self._send_error(INTERNAL_ERROR, body.stream_id if body else None)
        finally:
            CURRENT.reset(token)
            seconds = time.perf_counter() - started
            self.state.metrics.request_finished(ROUTE, status, seconds)
            logs.access(self.scope["request_id"], "WEBSOCKET", self.scope["path"], status, seconds)

    async def _respond(self, body: ResponseCreate) -> None:
        context = request_context(self.state, self.scope).with_model(body.model)
        run = await prepare_run(context, body, self.state.metrics, self.memory.chain)
        events = warm_up(run) if body.generate is False else all_events(run, self.state.metrics)
        output = await self._send_events(events, body.stream_id)
        if output is None:
            self.memory.forget(body.previous_response_id)
        else:
            self.memory.remember(run, output)

    async def _send_events(self, events: AsyncGenerator[Json], stream_id: str | None) -> list[Json] | None:
        """The output of the finished response; None: it has failed."""
        number, lane, last = 0, _lane(stream_id), Json()
        async with aclosing(events):
            async for event in events:
                await self._send_text(event_json(number, {**event, **lane}))
                number, last = number + 1, event
        return None if last["type"] == "response.failed" else last["response"]["output"]

    async def _send_error(self, error: ApiError, stream_id: str | None) -> None:
        told = error.error()
        event = {"type": "error", "status": error.status, "error": {**told, "code": told["code"] or told["type"]}, **_lane(stream_id)}
        await self._send_text(json.dumps(event))

    async def _send_text(self, text: str) -> None:
        try:
            await self.send({"type": "websocket.send", "text": text})
        except OSError as error:  # as ASGI says
            raise Gone from error


def _content(message: Message) -> bytes:
    text = message.get("text")
    return message.get("bytes") or b"" if text is None else text.encode()


def _lane(stream_id: str | None) -> Mapping[str, str]:
    return {} if stream_id is None else {"stream_id": stream_id}


@dataclass(frozen=True, slots=True)
class ResponsesSocket:
    """The ASGI application at ROUTE."""

    state: ServerState

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises ApiError before the connection is accepted."""
        scope["route"] = ROUTE
        self.state.expect_ready()
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "headers": [(b"x-request-id", scope["request_id"].encode())]})
        session = Session(self.state, scope, send, activity_of(scope), Pending(self.state.settings.max_body_bytes))
        await session.run(receive)
