"""The endpoints of all APIs, and /openapi.json, which is made from them."""

import asyncio
import json
from collections.abc import Callable
from functools import cache, partial

from starlette.types import Receive, Scope, Send

from server.api.anthropic import endpoints as anthropic
from server.api.audio import endpoints as audio
from server.api.batches import endpoints as batches
from server.api.chat_completions import endpoint as chat_completions
from server.api.chat_completions.stored import endpoints as stored_completions
from server.api.completions import endpoint as completions
from server.api.documents import endpoints as documents
from server.api.embeddings import classify, embeddings, rerank, score
from server.api.images import endpoints as images
from server.api.mcp import status as mcp_status
from server.api.ollama import endpoints as ollama
from server.api.responses import endpoints as responses
from server.api.responses.stored import conversations
from server.api.responses.stored.abandoned import watch_abandoned
from server.api.responses.websocket.session import ResponsesSocket
from server.api.system import architectures, inspection, moderations, tokenize, tokenizer_info
from server.api.system import endpoints as system
from server.api.system.page import Page
from server.api.uploads import endpoints as uploads
from server.http.endpoint import Endpoint
from server.http.handlers import status_endpoint
from server.http.openapi import document
from server.http.sse import send_json
from server.runtime.idle import IdleServing
from server.runtime.state import ServerState


def endpoints(state: ServerState, version: str, page: Page) -> list[Endpoint]:
    idle = IdleServing(state)
    state.add_worker(partial(watch_abandoned, state.name))
    in_batches = [*chat_completions.endpoints(idle), *completions.endpoints(idle), *responses.endpoints(idle), *embeddings.endpoints(idle)]
    found = [
        *chat_completions.endpoints(state),
        *completions.endpoints(state),
        *audio.endpoints(state),
        *images.endpoints(state),
        *tokenize.endpoints(state),
        *tokenizer_info.endpoints(state),
        *architectures.endpoints(state),
        *inspection.endpoints(state),
        *moderations.endpoints(state),
        *embeddings.endpoints(state),
        *rerank.endpoints(state),
        *score.endpoints(state),
        *classify.endpoints(state),
        *documents.endpoints(state),
        *uploads.endpoints(state),
        *batches.endpoints(state, in_batches),
        *mcp_status.endpoints(state),
        *stored_completions.endpoints(state),
        *conversations.endpoints(state),
        *responses.endpoints(state),
        *anthropic.endpoints(state),
        *ollama.endpoints(state),
        *system.endpoints(state, page),
    ]
    openapi_json = cache(lambda: json.dumps(document(found, version, keys=bool(state.settings.api_keys))).encode())
    return [*found, status_endpoint("/openapi.json", "This description", partial(_send_openapi, openapi_json))]


def sockets(state: ServerState) -> dict[str, ResponsesSocket]:
    """WebSockets, by path."""
    return {"/v1/responses": ResponsesSocket(state)}


async def _send_openapi(openapi_json: Callable[[], bytes], scope: Scope, receive: Receive, send: Send) -> None:
    """Built by the first request, in a thread: it takes a while."""
    await send_json(send, 200, await asyncio.to_thread(openapi_json))
