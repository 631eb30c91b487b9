"""Streams of the loop: the deltas of one sequence, timed, and several streams merged into one."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Protocol, TypeVar, cast

from engine.api import Delta, EngineStopped, Request
from server.chat.output_parser import OutputParser
from server.core.events import OutputDelta
from server.core.timing import TimingObserver

T = TypeVar("T")


class TokenSource(Protocol):
    """What `output_deltas` needs of an engine."""

    def generate(self, request: Request) -> AsyncIterator[Delta]: ...


async def output_deltas(
    engine: TokenSource, request: Request, parser: OutputParser, observer: TimingObserver
) -> AsyncGenerator[OutputDelta]:
    """Never empty deltas; the last has `finish`. Closing the generator aborts the request. Raises EngineError before the first."""
    last, report = time.perf_counter(), observer.first_token
    async with aclosing(cast(AsyncGenerator[Delta], engine.generate(request))) as deltas:
        async for delta in deltas:
            now = time.perf_counter()
            if delta.tokens:
                report(now - last)
                last, report = now, observer.between_tokens
            output = parser.parse(delta)
            if not output.empty:
                yield output
            if output.finish:
                return
    raise EngineStopped("the engine ended a sequence without saying how")


async def merge(streams: Sequence[AsyncGenerator[T]]) -> AsyncGenerator[tuple[int, T]]:
    """The items of several streams as they arrive, each with its stream's index. Closing the generator closes them all."""
    if len(streams) == 1:
        async with aclosing(streams[0]) as only:
            async for item in only:
                yield 0, item
        return
    queue = asyncio.Queue[tuple[int, T] | Exception | None]()
    tasks = [asyncio.create_task(_forward(i, stream, queue)) for i, stream in enumerate(streams)]
    try:
        running = len(tasks)
        while running:
            match await queue.get():
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


async def _forward(index: int, stream: AsyncGenerator[T], queue: asyncio.Queue[tuple[int, T] | Exception | None]) -> None:
    try:
        async with aclosing(stream):
            async for item in stream:
                queue.put_nowait((index, item))
        queue.put_nowait(None)
    except Exception as error:
        queue.put_nowait(error)
