"""One sequence's tokens become what a client sees: text, thoughts, logprobs, an end. The way back across the text/tokens
border."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Protocol, TypeVar, cast

from engine.api import Delta, EngineError, EngineStopped, Request, Usage
from server.chat.call_tracker import CallTracker
from server.chat.repetition import RepetitionDetector
from server.core.events import FinishReason, LoggedToken, OutputDelta
from server.core.timing import TimingObserver
from server.text.detokenize import Detokenizer, StopStrings
from server.text.reasoning import ReasoningParser, ReasoningSplit
from server.text.tokenizer import ChatTokenizer

T = TypeVar("T")


class TokenSource(Protocol):
    """What `pieces` asks of an engine."""

    def generate(self, request: Request) -> AsyncIterator[Delta]: ...


class OutputParser:
    """Reads one sequence. Text that might yet turn out to be something else is held back, and its logprobs with it."""

    def __init__(
        self,
        text: ChatTokenizer,
        request: Request,
        stops: Sequence[str],
        reasoning: ReasoningParser | None,
        circles: RepetitionDetector | None = None,
        calls: CallTracker | None = None,
        fences: Sequence[str] = (),
    ) -> None:
        """With `circles` the sequence ends when it repeats itself; with `fences`, what encloses the data in the prompt, when it
        begins to copy those: a small model does, and no reader wants to see them. With `calls` it may call tools; then stop strings
        count in the answer alone, not in thoughts and arguments."""
        self._request, self._reasoning, self._circles, self._calls = request, reasoning, circles, calls
        self._detokenizer, self._stops = Detokenizer(text.visible_bytes), StopStrings((*stops, *fences))
        self._fences = frozenset(fences)
        self._pending: list[LoggedToken] = []
        self._at = self._released = 0  # characters: decoded, shown
        self._generated = self._thought_tokens = 0
        self._usage: Usage | None = None  # as far as the engine has told
        self._told = False  # the first piece

    def parse(self, delta: Delta) -> OutputDelta:
        if delta.finish == "abort":
            raise EngineError("the engine could not go on with this request")
        self._usage = delta.usage or self._usage
        raw = self._decode(delta)
        circling = self._circles is not None and self._circles.push(raw)
        end: FinishReason | None = "stop" if circling else delta.finish
        piece = self._plain(raw, end) if self._calls is None else self._calling(raw, end, self._calls)
        piece.usage = self._counted() if piece.finish or not self._told else None
        self._told = self._told or not piece.empty
        piece.reasoning_tokens = self._thought_tokens
        return piece

    def _plain(self, raw: str, end: FinishReason | None) -> OutputDelta:
        shown = self._stops.push(raw)
        if self._stops.hit:
            end = "stop"
        elif end:
            shown += self._stops.flush()
        self._released += len(shown)
        said = self._said(shown, end is not None)
        return OutputDelta(text=said.answer, reasoning=said.reasoning, logprobs=self._release(end), finish=end, stop_string=self._stopped)

    def _calling(self, raw: str, end: FinishReason | None, calls: CallTracker) -> OutputDelta:
        said = self._said(raw, end is not None)
        answer, deltas = calls.push_last(said.answer, cut=end == "length") if end else calls.push(said.answer)
        answer = self._stops.push(answer)
        end = "stop" if calls.limit_reached else end
        if self._stops.hit:
            end = "stop"
        elif end:
            answer += self._stops.flush()
        logged = self._logged_beside(said.reasoning + answer, calls, end)
        return OutputDelta(text=answer, reasoning=said.reasoning, tool_calls=deltas, logprobs=logged, finish=end, stop_string=self._stopped)

    @property
    def _stopped(self) -> str | None:
        """Of the caller's own strings."""
        which = self._stops.which
        return None if which in self._fences else which

    def _logged_beside(self, shown: str, calls: CallTracker, end: FinishReason | None) -> list[LoggedToken]:
        """Logprobs of what is shown: those of a call's tokens are none of the message's."""
        if not (shown or calls.any_begun or end):
            return []
        ready, self._pending = self._pending, []
        return ready if shown else []

    def _decode(self, delta: Delta) -> str:
        self._generated += len(delta.tokens)
        raw = ""
        for i, token in enumerate(delta.tokens):
            if token in self._request.sampling.stop_tokens:
                continue  # it ends the sequence and says nothing
            if delta.logprobs:
                self._pending.append(LoggedToken(delta.logprobs[i], self._at))
            new = self._detokenizer.push(token)
            self._at += len(new)
            raw += new
        if self._reasoning and self._reasoning.thinking:
            self._thought_tokens += len(delta.tokens)
        if delta.finish:
            raw += self._detokenizer.flush()
        return raw

    def _said(self, shown: str, last: bool) -> ReasoningSplit:
        if self._reasoning is None:
            return ReasoningSplit(answer=shown)
        said = self._reasoning.push(shown)
        if last:
            rest = self._reasoning.flush()
            said = ReasoningSplit(said.reasoning + rest.reasoning, said.answer + rest.answer)
        return said

    def _release(self, end: FinishReason | None) -> list[LoggedToken]:
        """Logprobs of what is shown. What a stop string cut off is dropped, what ends with the sequence is not."""
        if end and not self._stops.hit:
            ready, self._pending = self._pending, []
            return ready
        ready = [logged for logged in self._pending if logged.offset < self._released]
        self._pending = self._pending[len(ready) :]
        return ready

    def _counted(self) -> Usage:
        """The engine's count; where the sequence was ended here, ours."""
        told = self._usage or Usage(prompt=len(self._request.tokens), completion=0, cached=0)
        return Usage(prompt=told.prompt, completion=self._generated, cached=told.cached)


async def output_deltas(engine: TokenSource, request: Request, reader: OutputParser, watch: TimingObserver) -> AsyncGenerator[OutputDelta]:
    """Never empty; the last has `end`. Closing it aborts the request. Raises EngineError before the first piece."""
    last, told = time.perf_counter(), watch.first_token
    async with aclosing(cast(AsyncGenerator[Delta], engine.generate(request))) as deltas:
        async for delta in deltas:
            now = time.perf_counter()
            if delta.tokens:
                told(now - last)
                last, told = now, watch.between_tokens
            piece = reader.parse(delta)
            if not piece.empty:
                yield piece
            if piece.finish:
                return
    raise EngineStopped("the engine ended a sequence without saying how")


async def merge(streams: Sequence[AsyncGenerator[T]]) -> AsyncGenerator[tuple[int, T]]:
    """What several streams bring, as it comes, each with its stream's index. Closing it closes them all."""
    if len(streams) == 1:
        async with aclosing(streams[0]) as only:
            async for item in only:
                yield 0, item
        return
    arrived = asyncio.Queue[tuple[int, T] | Exception | None]()
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


async def _forward(index: int, stream: AsyncGenerator[T], arrived: asyncio.Queue[tuple[int, T] | Exception | None]) -> None:
    try:
        async with aclosing(stream):
            async for item in stream:
                arrived.put_nowait((index, item))
        arrived.put_nowait(None)
    except Exception as error:
        arrived.put_nowait(error)
