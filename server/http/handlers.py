"""Builders of endpoints from handlers. They read body and query, count the request, and cancel handlers whose client disconnects."""

from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from server.core.cost import current_account
from server.http.body import read_body, read_query
from server.http.connection.disconnect import ClientDisconnected, while_connected
from server.http.context import RequestContext
from server.http.endpoint import Bytes, Endpoint, Run, StreamType
from server.http.lists import NoQuery
from server.http.sse import send_json
from server.runtime.serving import Serving

Body = TypeVar("Body", bound=BaseModel)
Query = TypeVar("Query", bound=BaseModel)
BodyStreamHandler = Callable[[RequestContext, Body, Send], Coroutine[Any, Any, None]]  # sends the response itself
BodyHandler = Callable[[RequestContext, Body], Coroutine[Any, Any, BaseModel]]
QueryHandler = Callable[[RequestContext, Query], Coroutine[Any, Any, BaseModel]]
QueryStreamHandler = Callable[[RequestContext, Query, Send], Coroutine[Any, Any, None]]  # sends the response itself
DownloadHandler = Callable[[RequestContext, Send], Coroutine[Any, Any, None]]

BODY_ERRORS = (400, 404, 408, 413, 415, 503)
QUERY_ERRORS = (400, 404, 503)
PATH_PARAMETERS = {
    "file_id": "Id of the file",
    "vector_store_id": "Id of the vector store",
    "batch_id": "Id of the batch",
    "chunk_id": "Id of the chunk",
    "conversation_id": "Id of the conversation",
    "item_id": "Id of the item",
    "completion_id": "Id of the chat completion",
    "response_id": "Id of the response",
    "upload_id": "Id of the upload",
    "model": "Its name",
}


def request_context(state: Serving, scope: Scope) -> RequestContext:
    """Raises ApiError 503 while the server takes no requests."""
    runtime = state.expect_ready().for_owner(scope["owner"])
    return RequestContext(runtime, scope["owner"], scope.get("path_params", {}), scope["request_id"])


def body_endpoint(
    state: Serving, handler: BodyHandler[Body], path: str, summary: str, body: type[Body], answer: type[BaseModel]
) -> Endpoint:
    """A POST whose response is one JSON object."""

    async def send_response(context: RequestContext, parsed: Body, send: Send) -> None:
        await _send_model(send, await handler(context, parsed))

    return body_stream_endpoint(state, send_response, path, summary, body, answer)


def body_stream_endpoint(
    state: Serving,
    handler: BodyStreamHandler[Body],
    path: str,
    summary: str,
    body: type[Body],
    answer: type[BaseModel],
    *,
    streams: StreamType | None = None,
    query: type[BaseModel] = NoQuery,
) -> Endpoint:
    """A POST whose response may be a stream."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        context = request_context(state, scope)
        read_query(scope, query)
        with state.count_request(), noting_disconnect(state):
            async with state.throttle.body(current_account(), kept=True) as pace:
                parsed = await read_body(scope, receive, body, state.settings.max_body_bytes, pace)
            await while_connected(receive, handler(context.with_model(getattr(parsed, "model", None)), parsed, send))

    return _endpoint("POST", path, summary, run, body=body, query=query, answer=answer, errors=BODY_ERRORS, streams=streams)


def query_endpoint(
    state: Serving, method: str, handler: QueryHandler[Query], path: str, summary: str, query: type[Query], answer: type[BaseModel]
) -> Endpoint:
    """A GET, a DELETE, or a POST without a body."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        context, parsed = request_context(state, scope), read_query(scope, query)
        with state.count_request():
            await _send_model(send, await handler(context, parsed))

    return _endpoint(method, path, summary, run, query=query, answer=answer, errors=QUERY_ERRORS)


def query_stream_endpoint(
    state: Serving,
    method: str,
    handler: QueryStreamHandler[Query],
    path: str,
    summary: str,
    query: type[Query],
    answer: type[BaseModel],
    *,
    streams: StreamType | None = None,
) -> Endpoint:
    """As query_endpoint, for handlers that send JSON text or a stream themselves."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        context, parsed = request_context(state, scope), read_query(scope, query)
        with state.count_request(), noting_disconnect(state):
            await while_connected(receive, handler(context, parsed, send))

    return _endpoint(method, path, summary, run, query=query, answer=answer, errors=QUERY_ERRORS, streams=streams)


def download_endpoint(state: Serving, handler: DownloadHandler, path: str, summary: str) -> Endpoint:
    """A GET whose response is a file."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        context = request_context(state, scope)
        read_query(scope, NoQuery)
        with state.count_request(), noting_disconnect(state):
            await while_connected(receive, handler(context, send))

    return _endpoint("GET", path, summary, run, answer=Bytes(), errors=QUERY_ERRORS)


def status_endpoint(
    path: str,
    summary: str,
    run: Run,
    answer: type[BaseModel] | None = None,
    *,
    errors: tuple[int, ...] = (),
    open: bool = False,
) -> Endpoint:
    """A GET that works without a loaded model. `run` sends the response itself."""
    return _endpoint("GET", path, summary, run, answer=answer, errors=errors, open=open)


def _endpoint(method: str, path: str, summary: str, run: Run, **options: Any) -> Endpoint:
    parameters = {name: description for name, description in PATH_PARAMETERS.items() if f"{{{name}}}" in path}
    return Endpoint(method=method, path=path, summary=summary, run=run, parameters=parameters, **options)


async def _send_model(send: Send, model: BaseModel) -> None:
    await send_json(send, 200, model.model_dump_json().encode())


@contextmanager
def noting_disconnect(state: Serving) -> Generator[None]:
    """Nobody is answered then."""
    try:
        yield
    except ClientDisconnected:
        state.metrics.client_disconnected()
