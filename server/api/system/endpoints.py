"""What is served and how the process is: models, health, readiness, metrics."""

import asyncio
from functools import partial

from starlette.types import Receive, Scope, Send

from server.api.system.model_types import Health, Model, ModelList
from server.core.errors import model_not_found
from server.http.endpoint import Endpoint
from server.http.handlers import getting
from server.http.sse import send_body, send_json
from server.runtime.metrics import MEDIA_TYPE
from server.runtime.runtime import Served
from server.runtime.state import House


def endpoints(house: House) -> list[Endpoint]:
    return [
        getting("/v1/models", "The models", partial(_models, house), ModelList, errors=(503,)),
        getting("/v1/models/{model}", "One model", partial(_model, house), Model, errors=(404, 503)),
        getting("/metrics", "Measurements, for Prometheus", partial(_metrics, house)),
        getting("/health", "Whether the process is well", partial(_health, house), Health, errors=(503,), open=True),
        getting("/ready", "Whether requests are taken", partial(_ready, house), Health, errors=(503,), open=True),
    ]


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
