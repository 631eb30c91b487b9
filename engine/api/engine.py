"""Engines of text."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from engine.api.info import ModelInfo, Stats
from engine.api.inspection import Inspection
from engine.api.requests import Delta, Request


class Engine(Protocol):
    @property
    def info(self) -> ModelInfo: ...

    @property
    def alive(self) -> bool:
        """False for good once the engine has failed or been closed; then `generate` raises EngineStopped."""
        ...

    @property
    def fault(self) -> str | None:
        """Why it answers nothing now, which mends itself; None: it does."""
        ...

    def generate(self, request: Request) -> AsyncIterator[Delta]:
        """Closing the iterator (`aclose`) aborts the request within one step and frees its memory. Raises EngineError
        before the first delta."""
        ...

    def stats(self) -> Stats: ...

    async def close(self) -> None: ...


class Aligner(Protocol):
    """What an engine is, too, whose model reads an input and can say where it looks in it."""

    async def align(self, request: Request, heads: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        """[H, T, R]: what share of its attention each of `heads` (layer, head), at each of `request.tokens`, gives each of the R rows that
        the encoder makes of `request.encoder`. Nothing is generated. Raises EngineError."""
        ...


@runtime_checkable
class Inspector(Protocol):
    """What an engine is, too, that can say what its model does with a short text."""

    async def inspect(self, tokens: Sequence[int], layer: int | None = None) -> Inspection:
        """A pass of its own over at most MAX_INSPECTED tokens: nothing is generated or kept. `layer`: whose attention is told; None: the
        first that has any. Raises EngineError."""
        ...
