"""From an answer that is a function of a request to an endpoint: reads body and query, lets go of clients that go away."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from server.http.body import ClientDisconnected, read_body, read_query
from server.http.context import RequestContext
from server.http.endpoint import Bytes, Endpoint
from server.http.lists import NoQuery
from server.http.sse import send_json, until_disconnect
from server.runtime.state import ServerState

Body = TypeVar("Body", bound=BaseModel)
Query = TypeVar("Query", bound=BaseModel)
Speak = Callable[[RequestContext, Body, Send], Coroutine[Any, Any, None]]  # sends by itself
Act = Callable[[RequestContext, Body], Coroutine[Any, Any, BaseModel]]
Ask = Callable[[RequestContext, Query], Coroutine[Any, Any, BaseModel]]
Tell = Callable[[RequestContext, Query, Send], Coroutine[Any, Any, None]]  # sends by itself
Serve = Callable[[RequestContext, Send], Coroutine[Any, Any, None]]

BODY_ERRORS = (400, 404, 408, 413, 415, 503)
PATH_PARAMETERS = {
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


def request_context(state: ServerState, scope: Scope) -> RequestContext:
    """Raises ApiError 503 unless requests are taken."""
    return RequestContext(state.expect_ready(), scope["owner"], scope.get("path_params", {}), scope["request_id"])


def path_parameters(path: str) -> dict[str, str]:
    return {name: meaning for name, meaning in PATH_PARAMETERS.items() if f"{{{name}}}" in path}


def body_stream_endpoint(
    state: ServerState,
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
        asked = request_context(state, scope)
        read_query(scope, query)
        with state.count_request():
            try:
                parsed = await read_body(scope, receive, body, state.settings.max_body_bytes)
                stayed = await until_disconnect(receive, speak(asked, parsed, send))
            except ClientDisconnected:
                stayed = False
        if not stayed:
            state.metrics.client_disconnected()

    return Endpoint(
        method="POST",
        path=path,
        summary=summary,
        run=run,
        body=body,
        query=query,
        answer=answer,
        errors=BODY_ERRORS,
        streams=streams,
        parameters=path_parameters(path),
    )


def body_endpoint(state: ServerState, act: Act[Body], path: str, summary: str, body: type[Body], answer: type[BaseModel]) -> Endpoint:
    """A POST that is answered at once."""

    async def speak(asked: RequestContext, parsed: Body, send: Send) -> None:
        await send_json(send, 200, (await act(asked, parsed)).model_dump_json().encode())

    return body_stream_endpoint(state, speak, path, summary, body, answer)


def query_endpoint(
    state: ServerState, method: str, ask: Ask[Query], path: str, summary: str, query: type[Query], answer: type[BaseModel]
) -> Endpoint:
    """A GET, a DELETE, or a POST without a body."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        asked, parsed = request_context(state, scope), read_query(scope, query)
        with state.count_request():
            await send_json(send, 200, (await ask(asked, parsed)).model_dump_json().encode())

    return Endpoint(
        method=method,
        path=path,
        summary=summary,
        run=run,
        query=query,
        answer=answer,
        errors=(400, 404, 503),
        parameters=path_parameters(path),
    )


def query_stream_endpoint(
    state: ServerState,
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
        asked, parsed = request_context(state, scope), read_query(scope, query)
        with state.count_request():
            if not await until_disconnect(receive, tell(asked, parsed, send)):
                state.metrics.client_disconnected()

    return Endpoint(
        method=method,
        path=path,
        summary=summary,
        run=run,
        query=query,
        answer=answer,
        errors=(400, 404, 503),
        streams=streams,
        parameters=path_parameters(path),
    )


def download_endpoint(state: ServerState, serve: Serve, path: str, summary: str) -> Endpoint:
    """A GET whose answer is a file."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        asked = request_context(state, scope)
        read_query(scope, NoQuery)
        with state.count_request():
            if not await until_disconnect(receive, serve(asked, send)):
                state.metrics.client_disconnected()

    return Endpoint(
        method="GET", path=path, summary=summary, run=run, answer=Bytes(), errors=(400, 404, 503), parameters=path_parameters(path)
    )


def status_endpoint(
    path: str,
    summary: str,
    run: Callable[[Scope, Receive, Send], Awaitable[None]],
    answer: type[BaseModel] | None = None,
    *,
    errors: tuple[int, ...] = (),
    open: bool = False,
) -> Endpoint:
    """A GET that answers by itself, also while no model is loaded."""
    found = path_parameters(path)
    return Endpoint(method="GET", path=path, summary=summary, run=run, answer=answer, errors=errors, open=open, parameters=found)
