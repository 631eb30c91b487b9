"""Blocking work in threads, so that no request delays others. Errors of store and engine become ApiErrors."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any, ParamSpec, TypeVar

from engine.api import EngineError
from retrieval.api import KnowledgeError
from server.core.cost import current_account, received_bytes
from server.core.errors import ApiError, ErrorFields, from_engine_error, from_knowledge_error
from server.core.fair_threads import FairThreads

LARGE = 8192  # characters; below, a thread costs more than the work
HUGE = 131_072  # characters
LARGE_BODY = 65_536  # bytes

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs a blocking store method in a thread. Raises ApiError for its KnowledgeError."""
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except KnowledgeError as error:
        raise from_knowledge_error(error) from error


async def in_thread_to_its_end(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As in_thread, but does not end before its thread does: who cancels it may close afterwards what the thread uses."""
    running = asyncio.ensure_future(in_thread(work, *args, **kwargs))
    await wait_through(running)
    return running.result()


async def wait_through(*running: asyncio.Future[Any]) -> None:
    """Returns when all are done. Cancelled, even several times, it waits for that nevertheless, and raises CancelledError then."""
    cancelled: asyncio.CancelledError | None = None
    while left := [one for one in running if not one.done()]:
        try:
            await asyncio.wait(left)
        except asyncio.CancelledError as error:
            cancelled = error
    for one in running:
        _ = one.cancelled() or one.exception()  # which counts as seen
    if cancelled is not None:
        raise cancelled


async def with_api_errors(answer: Awaitable[T], field: str = "query") -> T:
    """Awaits `answer`. Raises ApiError for its KnowledgeError or EngineError; `field` is the request field that holds the text."""
    try:
        return await answer
    except KnowledgeError as error:
        raise from_knowledge_error(error) from error
    except EngineError as error:
        raise from_engine_error(error, ErrorFields(prompt=field, grammar=field)) from error


@contextmanager
def blaming_field(field: str) -> Generator[None]:
    """Adds `field` to a file_not_found error raised inside."""
    try:
        yield
    except ApiError as error:
        raise replace(error, param=field) if error.code == "file_not_found" else error from error


async def in_thread_if_large(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`work(...)`, in a thread if its input of `size` characters is large enough to delay other requests. Such threads are few, so that
    some cores are left, and none of those in which calls of the database wait; what is huge waits for what is huge, and for nothing
    else."""
    if size <= LARGE:
        return work(*args, **kwargs)
    return await _text_threads(huge=size > HUGE).run(current_account(), work, *args, **kwargs)


async def in_thread_if_large_body(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`work(...)`, which goes through the body of the request that is being answered, as in_thread_if_large."""
    size = received_bytes()
    return await in_thread_if_large(size if size > LARGE_BODY else 0, work, *args, **kwargs)


@cache
def _text_threads(*, huge: bool) -> FairThreads:
    return FairThreads("huge text", 1) if huge else FairThreads("text")
