"""Everything that can be called over HTTP."""

import json
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from server import chat, completions, embeddings, tokens
from server.body import Dropped, read
from server.endpoint import Endpoint
from server.house import House
from server.metrics import MEDIA_TYPE
from server.openai.chat import ChatRequest, ChatResponse
from server.openai.completions import CompletionRequest, CompletionResponse
from server.openai.embeddings import EmbeddingRequest, EmbeddingResponse
from server.openai.models import Health, Model, ModelList
from server.openai.tokens import DetokenizeRequest, DetokenizeResponse, TokenizeRequest, TokenizeResponse
from server.openapi import document
from server.served import Served
from server.stream import send_body, send_json, unless_dropped

Body = TypeVar("Body", bound=BaseModel)
Answer = Callable[[Served, Body, Send], Coroutine[Any, Any, None]]


def endpoints(house: House, version: str) -> list[Endpoint]:
    measured, keys = house.metrics, bool(house.settings.api_keys)
    talk, complete = partial(chat.answer, watch=measured), partial(completions.answer, watch=measured)
    found = [
        _post(house, talk, "/v1/chat/completions", "The assistant's answer to a conversation", ChatRequest, ChatResponse, streams=True),
        _post(house, complete, "/v1/completions", "The continuation of a prompt", CompletionRequest, CompletionResponse, streams=True),
        _post(house, embeddings.answer, "/v1/embeddings", "Vectors of texts", EmbeddingRequest, EmbeddingResponse),
        _post(house, tokens.tokenize, "/tokenize", "The tokens of a prompt or conversation", TokenizeRequest, TokenizeResponse),
        _post(house, tokens.detokenize, "/detokenize", "The text of tokens", DetokenizeRequest, DetokenizeResponse),
        _get("/v1/models", "The models", partial(_models, house), ModelList, errors=(503,)),
        _get("/v1/models/{model}", "One model", partial(_model, house), Model, errors=(404, 503), parameters={"model": "Its name"}),
        _get("/metrics", "Measurements, for Prometheus", partial(_metrics, house)),
        _get("/health", "Whether the process is well", partial(_health, house), Health, errors=(503,), open=True),
        _get("/ready", "Whether requests are taken", partial(_ready, house), Health, errors=(503,), open=True),
    ]
    described = json.dumps(document(found, version, keys=keys)).encode()
    return [*found, _get("/openapi.json", "This description", partial(_fixed, described))]


def _post(
    house: House, answer: Answer[Body], path: str, summary: str, body: type[Body], response: type[BaseModel], *, streams: bool = False
) -> Endpoint:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        served = house.open()
        with house.call():
            try:
                parsed = await read(scope, receive, body, house.settings.max_body_bytes)
                stayed = await unless_dropped(receive, answer(served, parsed, send))
            except Dropped:
                stayed = False
        if not stayed:
            house.metrics.dropped()

    errors = (400, 404, 408, 413, 415, 503)
    return Endpoint(method="POST", path=path, summary=summary, run=run, body=body, answer=response, errors=errors, streams=streams)


def _get(
    path: str,
    summary: str,
    run: Callable[[Scope, Receive, Send], Awaitable[None]],
    answer: type[BaseModel] | None = None,
    *,
    errors: tuple[int, ...] = (),
    open: bool = False,
    parameters: dict[str, str] | None = None,
) -> Endpoint:
    return Endpoint(method="GET", path=path, summary=summary, run=run, answer=answer, errors=errors, open=open, parameters=parameters or {})


async def _models(house: House, scope: Scope, receive: Receive, send: Send) -> None:
    served = house.open()
    await send_json(send, 200, ModelList(data=[_described(served, name) for name in served.names]).model_dump_json().encode())


async def _model(house: House, scope: Scope, receive: Receive, send: Send) -> None:
    served, name = house.open(), scope["path_params"]["model"]
    served.expect(name)
    await send_json(send, 200, _described(served, name).model_dump_json().encode())


def _described(served: Served, name: str) -> Model:
    return Model(id=name, created=served.created, max_model_len=served.engine.info.context)


async def _health(house: House, scope: Scope, receive: Receive, send: Send) -> None:
    """A dead engine is a sick process: whoever watches this is there to restart it."""
    sick = house.state == "failed"
    await _state(send, house, 503 if sick else 200, "failed" if sick else "ok")


async def _ready(house: House, scope: Scope, receive: Receive, send: Send) -> None:
    await _state(send, house, 200 if house.state == "ready" else 503, house.state)


async def _state(send: Send, house: House, status: int, state: str) -> None:
    await send_json(send, status, Health(status=state, reason=house.failure).model_dump_json().encode())


async def _metrics(house: House, scope: Scope, receive: Receive, send: Send) -> None:
    await send_body(send, 200, house.metrics.page(), MEDIA_TYPE)


async def _fixed(body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
    await send_json(send, 200, body)
