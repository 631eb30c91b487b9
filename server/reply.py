"""One sequence's tokens become what a client sees: text, thoughts, logprobs, an end. The way back across the text/tokens
border."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal, Protocol, cast

from engine.api import Delta, Engine, EngineError, EngineStopped, Request, TokenLogprob, Usage
from server.detokenize import Detokenizer, StopStrings
from server.dialects.reasoning import Reasoning, Said
from server.text import Text

End = Literal["stop", "length"]


class Watch(Protocol):
    """Who wants to know how fast tokens come, in seconds."""

    def first_token(self, seconds: float, /) -> None: ...
    def between_tokens(self, seconds: float, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Logged:
    token: TokenLogprob
    offset: int  # where in the sequence's text it begins, in characters


@dataclass(slots=True)
class Piece:
    """What one or more tokens added. The last one of a sequence has `end` and `usage`."""

    answer: str = ""
    thought: str = ""
    logged: list[Logged] = field(default_factory=list[Logged])
    end: End | None = None
    usage: Usage | None = None
    thought_tokens: int = 0  # in all, so far

    @property
    def empty(self) -> bool:
        return not (self.answer or self.thought or self.logged or self.end)


class Reader:
    """Reads one sequence. Text that might yet turn out to be something else is held back, and its logprobs with it."""

    def __init__(self, text: Text, request: Request, stops: Sequence[str], reasoning: Reasoning | None) -> None:
        self._text, self._request, self._reasoning = text, request, reasoning
        self._detokenizer, self._stops = Detokenizer(text.shown), StopStrings(stops)
        self._pending: list[Logged] = []
        self._at = self._released = 0  # characters: decoded, shown
        self._generated = self._thought_tokens = 0
        self._usage: Usage | None = None  # as far as the engine has told

    def read(self, delta: Delta) -> Piece:
        if delta.finish == "abort":
            raise EngineError("the engine could not go on with this request")
        self._usage = delta.usage or self._usage
        raw = self._decode(delta)
        shown = self._stops.push(raw)
        end: End | None = "stop" if self._stops.hit else delta.finish
        if end and not self._stops.hit:
            shown += self._stops.flush()
        self._released += len(shown)
        said = self._said(shown, end is not None)
        usage = self._counted() if end else None
        return Piece(said.answer, said.thought, self._release(end), end, usage, self._thought_tokens)

    def _decode(self, delta: Delta) -> str:
        self._generated += len(delta.tokens)
        raw = ""
        for i, token in enumerate(delta.tokens):
            if token in self._request.sampling.stop_tokens:
                continue  # it ends the sequence and says nothing
            if delta.logprobs:
                self._pending.append(Logged(delta.logprobs[i], self._at))
            new = self._detokenizer.push(token)
            self._at += len(new)
            raw += new
        if self._reasoning and self._reasoning.thinking:
            self._thought_tokens += len(delta.tokens)
        if delta.finish:
            raw += self._detokenizer.flush()
        return raw

    def _said(self, shown: str, last: bool) -> Said:
        if self._reasoning is None:
            return Said(answer=shown)
        said = self._reasoning.push(shown)
        if last:
            rest = self._reasoning.flush()
            said = Said(said.thought + rest.thought, said.answer + rest.answer)
        return said

    def _release(self, end: End | None) -> list[Logged]:
        """Logprobs of what is shown. What a stop string cut off is dropped, what ends with the sequence is not."""
        if end and not self._stops.hit:
            ready, self._pending = self._pending, []
            return ready
        ready = [logged for logged in self._pending if logged.offset < self._released]
        self._pending = self._pending[len(ready) :]
        return ready

    def _counted(self) -> Usage:
        """The engine's count; where a stop string ended the sequence first, ours."""
        told = self._usage or Usage(prompt=len(self._request.tokens), completion=0, cached=0)
        return Usage(prompt=told.prompt, completion=self._generated, cached=told.cached)


async def pieces(engine: Engine, request: Request, reader: Reader, watch: Watch) -> AsyncGenerator[Piece]:
    """Never empty; the last has `end`. Closing it aborts the request. Raises EngineError before the first piece."""
    last, told = time.perf_counter(), watch.first_token
    async with aclosing(cast(AsyncGenerator[Delta], engine.generate(request))) as deltas:
        async for delta in deltas:
            now = time.perf_counter()
            if delta.tokens:
                told(now - last)
                last, told = now, watch.between_tokens
            piece = reader.read(delta)
            if not piece.empty:
                yield piece
            if piece.end:
                return
    raise EngineStopped("the engine ended a sequence without saying how")


async def merged(streams: Sequence[AsyncGenerator[Piece]]) -> AsyncGenerator[tuple[int, Piece]]:
    """Pieces of several sequences as they come, each with its sequence's index. Closing it closes them all."""
    if len(streams) == 1:
        async with aclosing(streams[0]) as only:
            async for piece in only:
                yield 0, piece
        return
    arrived = asyncio.Queue[tuple[int, Piece] | Exception | None]()
    tasks = [asyncio.create_task(_forward(i, stream, arrived)) for i, stream in enumerate(streams)]
    try:
        running = len(tasks)
        while running:
            match await arrived.get():
                case None:
                    running -= 1
                case Exception() as error:
                    raise error
                case item:
                    yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _forward(index: int, stream: AsyncGenerator[Piece], arrived: asyncio.Queue[tuple[int, Piece] | Exception | None]) -> None:
    try:
        async with aclosing(stream):
            async for piece in stream:
                arrived.put_nowait((index, piece))
        arrived.put_nowait(None)
    except Exception as error:
        arrived.put_nowait(error)
