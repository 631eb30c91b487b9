"""Requests that are served in idle time: the engine and the embedding model compute for them only while nobody else wants anything."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from engine.api import IDLE_PRIORITY
from retrieval.api import ImageEmbedder, ModelIdentity, Vectors
from server.core.timing import NoTimings
from server.runtime.knowledge_base import TextEmbedder
from server.runtime.runtime import Runtime
from server.runtime.settings import Settings
from server.runtime.state import ServerState
from server.runtime.throttle import Throttle

EMBEDDED_AT_ONCE = 16  # texts, which somebody who comes meanwhile waits for


class NobodyWatches(NoTimings):
    """Implements serving.RequestObserver: what has idle time only would spoil the measurements of answers."""

    def client_disconnected(self) -> None: ...
    def audio_heard(self, seconds: float, /) -> None: ...


@dataclass(frozen=True)
class IdleServing:
    """Implements serving.Serving."""

    state: ServerState
    metrics: NobodyWatches = field(default_factory=NobodyWatches)

    @property
    def name(self) -> str:
        return self.state.name

    @property
    def settings(self) -> Settings:
        return self.state.settings

    @property
    def throttle(self) -> Throttle:
        return self.state.throttle

    def expect_ready(self) -> Runtime:
        return _in_idle_time(self.state.expect_ready(), self.state.quiet)

    def count_request(self) -> AbstractContextManager[None]:
        """Not counted: nobody is to wait for it."""
        return nullcontext()


@dataclass(frozen=True)
class IdleEmbedder:
    """Implements TextEmbedder. `quiet` returns once no request is in progress."""

    embedder: TextEmbedder
    quiet: Callable[[], Awaitable[None]]

    @property
    def identity(self) -> ModelIdentity:
        return self.embedder.identity

    @property
    def max_tokens(self) -> int:
        return self.embedder.max_tokens

    @property
    def vocab(self) -> int:
        return self.embedder.vocab

    @property
    def sight(self) -> ImageEmbedder | None:
        return self.embedder.sight

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return self.embedder.offsets(text)

    def fluency(self, text: str) -> float:
        return self.embedder.fluency(text)

    def tokens(self, text: str, kind: Literal["query", "document"] | None = None) -> tuple[int, ...]:
        return self.embedder.tokens(text, kind)

    async def embed(self, texts: Sequence[str], kind: Literal["query", "document"]) -> Vectors:
        return await self.embed_tokens([self.tokens(text, kind) for text in texts])

    async def embed_tokens(self, batch: Sequence[Sequence[int]]) -> Vectors:
        rows = list[Vectors]()
        for start in range(0, len(batch), EMBEDDED_AT_ONCE):
            await self.quiet()
            rows.append(await self.embedder.embed_tokens(batch[start : start + EMBEDDED_AT_ONCE]))
        return np.concatenate(rows)

    async def close(self) -> None:
        await self.embedder.close()


def _in_idle_time(runtime: Runtime, quiet: Callable[[], Awaitable[None]]) -> Runtime:
    known = runtime.knowledge_base
    idle = known and replace(known, embedder=IdleEmbedder(known.embedder, quiet))
    idling = runtime.with_requests(lambda request: replace(request, priority=IDLE_PRIORITY))
    return replace(idling, knowledge_base=idle)
