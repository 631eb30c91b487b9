"""Texts in, vectors out."""

import base64
import struct

from starlette.types import Send

from engine.api import EngineError
from server.errors import Blame, from_engine
from server.openai import embeddings as wire
from server.served import Served
from server.stream import send_json


async def answer(served: Served, body: wire.EmbeddingRequest, send: Send) -> None:
    """POST /v1/embeddings."""
    batch = [_tokens(served, text) for text in _inputs(body.input)]
    try:
        await served.engine.embed(())  # without an embedding model, no name is the right one
        served.expect(body.model)
        vectors = await served.engine.embed(batch)
    except EngineError as error:
        raise from_engine(error, Blame(prompt="input", grammar="input")) from error
    data = [wire.Embedding(index=i, embedding=_written(vector, body)) for i, vector in enumerate(vectors)]
    count = sum(map(len, batch))
    usage = wire.EmbeddingUsage(prompt_tokens=count, total_tokens=count)
    await send_json(send, 200, wire.EmbeddingResponse(data=data, model=body.model, usage=usage).model_dump_json().encode())


def _inputs(given: wire.Input) -> list[str] | list[list[int]]:
    if isinstance(given, str):
        return [given]
    return [given] if isinstance(given[0], int) else given  # pyright: ignore[reportReturnType] (no guard sees the other items)


def _tokens(served: Served, given: str | list[int]) -> tuple[int, ...]:
    return served.text.encode(given, special=True) if isinstance(given, str) else tuple(given)


def _written(vector: list[float], body: wire.EmbeddingRequest) -> list[float] | str:
    if body.encoding_format != "base64":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
