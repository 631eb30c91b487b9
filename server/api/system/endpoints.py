"""The endpoints of models, health, readiness and metrics."""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial

from starlette.types import Receive, Scope, Send

from engine.api import ReadsPrompts
from server.api.system.model_types import Health, Modality, Model, ModelList, Sampling, Version
from server.api.system.page import Page
from server.core.errors import model_not_found
from server.core.version import our_version
from server.http.endpoint import Endpoint
from server.http.handlers import status_endpoint
from server.http.sse import send_body, send_json
from server.runtime.metrics import MEDIA_TYPE
from server.runtime.runtime import Runtime
from server.runtime.state import ServerState
from server.text.tokenizer import ChatTokenizer


def endpoints(state: ServerState, page: Page) -> list[Endpoint]:
    ping = status_endpoint("/ping", "As /health", partial(_health, state), Health, errors=(503,), open=True)
    return [
        status_endpoint("/", "The page for browsers; for others that the server runs, as clients of Ollama ask", page.index, open=True),
        status_endpoint("/v1/models", "The models", partial(_models, state), ModelList, errors=(503,)),
        status_endpoint("/v1/models/{model}", "One model", partial(_model, state), Model, errors=(404, 503)),
        status_endpoint("/metrics", "Measurements, for Prometheus", partial(_metrics, state)),
        status_endpoint("/health", "Whether the process is well", partial(_health, state), Health, errors=(503,), open=True),
        ping,
        replace(ping, method="POST"),
        status_endpoint("/version", "Which version this is", _version, Version),
        status_endpoint("/ready", "Whether requests are taken", partial(_ready, state), Health, errors=(503,), open=True),
    ]


async def _models(state: ServerState, scope: Scope, receive: Receive, send: Send) -> None:
    await send_json(send, 200, ModelList(data=_to_models(state.expect_ready())).model_dump_json().encode())


async def _model(state: ServerState, scope: Scope, receive: Receive, send: Send) -> None:
    name, all = scope["path_params"]["model"], _to_models(state.expect_ready())
    found = next((model for model in all if model.id == name), None)
    if found is None:
        raise model_not_found(name, [model.id for model in all])
    await send_json(send, 200, found.model_dump_json().encode())


def _to_models(runtime: Runtime) -> list[Model]:
    """The chat model comes first, aliases last; of two models with one name the first counts."""
    models = _real_models(runtime)
    names = {model.id: model for model in reversed(models)}
    return [*models, *(names[name].model_copy(update={"id": alias}) for alias, name in runtime.aliases.items() if name in names)]


def _real_models(runtime: Runtime) -> list[Model]:
    sampling = {name: _sampling(text) for name, text in runtime.tokenizers.items()}
    return [
        Model(
            id=name,
            created=runtime.created,
            max_model_len=longest,
            input_modalities=list(reads),
            output_modalities=[answers],
            sampling=sampling.get(name),
        )
        for name, longest, reads, answers in _described(runtime)
    ]


def _sampling(text: ChatTokenizer) -> Sampling | None:
    """None: an encoder-decoder, which chooses in other words."""
    return Sampling(**asdict(text.sampling)) if text.encoder_decoder is None else None


def _described(runtime: Runtime) -> Iterator[tuple[str, int | None, tuple[Modality, ...], Modality]]:
    """Names, the tokens of the longest input where it has some, what is read, and what is answered."""
    known, speech, images = runtime.knowledge_base, runtime.speech, runtime.images
    for name, engine in runtime.engines.items():
        yield name, engine.info.context, ("text",) if engine.info.vision is None else ("text", "image"), "text"
    if speech is not None:
        yield speech.name, speech.engine.info.context, ("audio",), "text"
    if images is not None:
        reads = images.info.reads
        yield images.name, reads.context if isinstance(reads, ReadsPrompts) else None, ("text", "image"), "image"
    if known is not None:
        seen: tuple[Modality, ...] = ("text",) if known.embedder.sight is None else ("text", "image")
        yield known.embedding_name, known.embedder.max_tokens, seen, "embeddings"
        beside = known.image_embedder
        if beside is not None and beside is not known.embedder and known.image_embedding_name:
            yield known.image_embedding_name, beside.max_tokens, ("text", "image"), "embeddings"
        if known.rerank_name:
            yield known.rerank_name, None, ("text",), "scores"
    if runtime.classifier is not None:
        yield runtime.classifier.name, None, (runtime.classifier.classifier.reads,), "scores"


async def _version(scope: Scope, receive: Receive, send: Send) -> None:
    await send_json(send, 200, Version(version=our_version()).model_dump_json().encode())


async def _health(state: ServerState, scope: Scope, receive: Receive, send: Send) -> None:
    """503 for what a restart mends, so that a supervisor restarts the process: a database that is away is none of that."""
    failed = state.status == "failed"
    await _send_health(send, 503, Health(status="failed", reason=state.reason)) if failed else await _send_health(
        send, 200, Health(status="ok")
    )


async def _ready(state: ServerState, scope: Scope, receive: Receive, send: Send) -> None:
    """503 with the reason while some requests cannot be answered."""
    fault = state.engine_fault or state.database_fault
    if state.status != "ready":
        await _send_health(send, 503, Health(status=state.status, reason=state.reason))
    elif fault is not None:
        await _send_health(send, 503, Health(status="degraded", reason=str(fault)))
    else:
        await _send_health(send, 200, Health(status="ready"))


async def _send_health(send: Send, code: int, health: Health) -> None:
    await send_json(send, code, health.model_dump_json().encode())


async def _metrics(state: ServerState, scope: Scope, receive: Receive, send: Send) -> None:
    await send_body(send, 200, await asyncio.to_thread(state.metrics.exposition), MEDIA_TYPE)
