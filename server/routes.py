"""Everything that can be called over HTTP."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import cache, partial

from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from server import chat, completions, conversations, documents, embeddings, mcp_status, rerank, stored_chats, tokens
from server.anthropic import messages
from server.call import Call
from server.endpoint import Endpoint
from server.errors import model_not_found
from server.handlers import acting, parameters, speaking
from server.house import House
from server.metrics import MEDIA_TYPE
from server.openai.chat import ChatRequest, ChatResponse
from server.openai.completions import CompletionRequest, CompletionResponse
from server.openai.embeddings import EmbeddingRequest, EmbeddingResponse
from server.openai.models import Health, Model, ModelList
from server.openai.rerank import RerankRequest, RerankResponse
from server.openai.tokens import DetokenizeRequest, DetokenizeResponse, TokenizeRequest, TokenizeResponse
from server.openapi import document
from server.responses import endpoints as responses
from server.served import Served
from server.stream import send_body, send_json


def endpoints(house: House, version: str) -> list[Endpoint]:
    found = [
        *_models_speaking(house),
        acting(house, embeddings.answer, "/v1/embeddings", "Vectors of texts", EmbeddingRequest, EmbeddingResponse),
        acting(house, rerank.answer, "/v1/rerank", "Texts by their relevance to a query", RerankRequest, RerankResponse),
        *documents.endpoints(house),
        *mcp_status.endpoints(house),
        *stored_chats.endpoints(house),
        *conversations.endpoints(house),
        *responses.endpoints(house),
        *messages.endpoints(house),
        _get("/v1/models", "The models", partial(_models, house), ModelList, errors=(503,)),
        _get("/v1/models/{model}", "One model", partial(_model, house), Model, errors=(404, 503)),
        _get("/metrics", "Measurements, for Prometheus", partial(_metrics, house)),
        _get("/health", "Whether the process is well", partial(_health, house), Health, errors=(503,), open=True),
        _get("/ready", "Whether requests are taken", partial(_ready, house), Health, errors=(503,), open=True),
    ]
    described = cache(lambda: json.dumps(document(found, version, keys=bool(house.settings.api_keys))).encode())
    return [*found, _get("/openapi.json", "This description", partial(_description, described))]


def _models_speaking(house: House) -> list[Endpoint]:
    watch = house.metrics

    async def talk(call: Call, body: ChatRequest, send: Send) -> None:
        await chat.answer(call.served, body, send, watch=watch, owner=call.owner)

    async def complete(call: Call, body: CompletionRequest, send: Send) -> None:
        await completions.answer(call.served, body, send, watch=watch)

    async def split(call: Call, body: TokenizeRequest, send: Send) -> None:
        await tokens.tokenize(call.served, body, send)

    async def join(call: Call, body: DetokenizeRequest, send: Send) -> None:
        await tokens.detokenize(call.served, body, send)

    conversation, prompt = "The assistant's answer to a conversation", "The continuation of a prompt"
    return [
        speaking(house, talk, "/v1/chat/completions", conversation, ChatRequest, ChatResponse, streams=True),
        speaking(house, complete, "/v1/completions", prompt, CompletionRequest, CompletionResponse, streams=True),
        speaking(house, split, "/tokenize", "The tokens of a prompt or conversation", TokenizeRequest, TokenizeResponse),
        speaking(house, join, "/detokenize", "The text of tokens", DetokenizeRequest, DetokenizeResponse),
    ]


def _get(
    path: str,
    summary: str,
    run: Callable[[Scope, Receive, Send], Awaitable[None]],
    answer: type[BaseModel] | None = None,
    *,
    errors: tuple[int, ...] = (),
    open: bool = False,
) -> Endpoint:
    found = parameters(path)
    return Endpoint(method="GET", path=path, summary=summary, run=run, answer=answer, errors=errors, open=open, parameters=found)


async def _models(house: House, scope: Scope, receive: Receive, send: Send) -> None:
    await send_json(send, 200, ModelList(data=_described(house.open())).model_dump_json().encode())


async def _model(house: House, scope: Scope, receive: Receive, send: Send) -> None:
    name, all = scope["path_params"]["model"], _described(house.open())
    found = next((model for model in all if model.id == name), None)
    if found is None:
        raise model_not_found(name, [model.id for model in all])
    await send_json(send, 200, found.model_dump_json().encode())


def _described(served: Served) -> list[Model]:
    """The one that talks comes first; of two with one name the first counts."""
    made, known = served.created, served.knowledge
    talking = [Model(id=name, created=made, max_model_len=served.engine.info.context) for name in served.names]
    if known is None:
        return talking
    embedding = Model(id=known.embedding_name, created=made, max_model_len=known.embedder.max_tokens)
    reranking = [Model(id=known.rerank_name, created=made, max_model_len=None)] if known.rerank_name else []
    return [*talking, embedding, *reranking]


async def _health(house: House, scope: Scope, receive: Receive, send: Send) -> None:
    """A dead engine is a sick process: whoever watches this is there to restart it."""
    sick = house.state == "failed"
    await _state(send, house, 503 if sick else 200, "failed" if sick else "ok")


async def _ready(house: House, scope: Scope, receive: Receive, send: Send) -> None:
    await _state(send, house, 200 if house.state == "ready" else 503, house.state)


async def _state(send: Send, house: House, status: int, state: str) -> None:
    await send_json(send, status, Health(status=state, reason=house.failure).model_dump_json().encode())


async def _metrics(house: House, scope: Scope, receive: Receive, send: Send) -> None:
    await send_body(send, 200, await asyncio.to_thread(house.metrics.page), MEDIA_TYPE)


async def _description(described: Callable[[], bytes], scope: Scope, receive: Receive, send: Send) -> None:
    """It takes a while to make, once: a server that starts has better things to do."""
    await send_json(send, 200, await asyncio.to_thread(described))
