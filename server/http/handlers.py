"""From an answer that is a function of a request to an endpoint: reads body and query, lets go of clients that go away."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from server.http.body import Dropped, read, read_query
from server.http.context import Call
from server.http.endpoint import Bytes, Endpoint
from server.http.lists import NoQuery
from server.http.sse import send_json, unless_dropped
from server.runtime.state import House

Body = TypeVar("Body", bound=BaseModel)
Query = TypeVar("Query", bound=BaseModel)
Speak = Callable[[Call, Body, Send], Coroutine[Any, Any, None]]  # sends by itself
Act = Callable[[Call, Body], Coroutine[Any, Any, BaseModel]]
Ask = Callable[[Call, Query], Coroutine[Any, Any, BaseModel]]
Tell = Callable[[Call, Query, Send], Coroutine[Any, Any, None]]  # sends by itself
Serve = Callable[[Call, Send], Coroutine[Any, Any, None]]

OF_A_BODY = (400, 404, 408, 413, 415, 503)
PARAMETERS = {
    "file_id": "Id of the file",
    "vector_store_id": "Id of the vector store",
    "batch_id": "Id of the batch",
    "chunk_id": "Id of the chunk",
    "conversation_id": "Id of the conversation",
    "item_id": "Id of the item",
    "completion_id": "Id of the chat completion",
    "response_id": "Id of the response",
    "model": "Its name",
}


def call(house: House, scope: Scope) -> Call:
    """Raises ApiError 503 unless requests are taken."""
    return Call(house.open(), scope["owner"], scope.get("path_params", {}), scope["request_id"])


def parameters(path: str) -> dict[str, str]:
    return {name: meaning for name, meaning in PARAMETERS.items() if f"{{{name}}}" in path}


def speaking(
    house: House,
    speak: Speak[Body],
    path: str,
    summary: str,
    body: type[Body],
    answer: type[BaseModel],
    *,
    streams: bool = False,
    query: type[BaseModel] = NoQuery,
) -> Endpoint:
    """A POST whose answer may be a stream."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        asked = call(house, scope)
        read_query(scope, query)
        with house.call():
            try:
                parsed = await read(scope, receive, body, house.settings.max_body_bytes)
                stayed = await unless_dropped(receive, speak(asked, parsed, send))
            except Dropped:
                stayed = False
        if not stayed:
            house.metrics.dropped()

    return Endpoint(
        method="POST",
        path=path,
        summary=summary,
        run=run,
        body=body,
        query=query,
        answer=answer,
        errors=OF_A_BODY,
        streams=streams,
        parameters=parameters(path),
    )


def acting(house: House, act: Act[Body], path: str, summary: str, body: type[Body], answer: type[BaseModel]) -> Endpoint:
    """A POST that is answered at once."""

    async def speak(asked: Call, parsed: Body, send: Send) -> None:
        await send_json(send, 200, (await act(asked, parsed)).model_dump_json().encode())

    return speaking(house, speak, path, summary, body, answer)


def asking(house: House, method: str, ask: Ask[Query], path: str, summary: str, query: type[Query], answer: type[BaseModel]) -> Endpoint:
    """A GET, a DELETE, or a POST without a body."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        asked, parsed = call(house, scope), read_query(scope, query)
        with house.call():
            await send_json(send, 200, (await ask(asked, parsed)).model_dump_json().encode())

    return Endpoint(
        method=method,
        path=path,
        summary=summary,
        run=run,
        query=query,
        answer=answer,
        errors=(400, 404, 503),
        parameters=parameters(path),
    )


def telling(
    house: House,
    method: str,
    tell: Tell[Query],
    path: str,
    summary: str,
    query: type[Query],
    answer: type[BaseModel],
    *,
    streams: bool = False,
) -> Endpoint:
    """As `asking`, where the answer is JSON already, or may be a stream."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        asked, parsed = call(house, scope), read_query(scope, query)
        with house.call():
            if not await unless_dropped(receive, tell(asked, parsed, send)):
                house.metrics.dropped()

    return Endpoint(
        method=method,
        path=path,
        summary=summary,
        run=run,
        query=query,
        answer=answer,
        errors=(400, 404, 503),
        streams=streams,
        parameters=parameters(path),
    )


def serving(house: House, serve: Serve, path: str, summary: str) -> Endpoint:
    """A GET whose answer is a file."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        asked = call(house, scope)
        read_query(scope, NoQuery)
        with house.call():
            if not await unless_dropped(receive, serve(asked, send)):
                house.metrics.dropped()

    return Endpoint(method="GET", path=path, summary=summary, run=run, answer=Bytes(), errors=(400, 404, 503), parameters=parameters(path))


def getting(
    path: str,
    summary: str,
    run: Callable[[Scope, Receive, Send], Awaitable[None]],
    answer: type[BaseModel] | None = None,
    *,
    errors: tuple[int, ...] = (),
    open: bool = False,
) -> Endpoint:
    """A GET that answers by itself, also while no model is loaded."""
    found = parameters(path)
    return Endpoint(method="GET", path=path, summary=summary, run=run, answer=answer, errors=errors, open=open, parameters=found)
