"""Blocking work in threads, so that no request makes others wait; what it raises becomes an ApiError."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import ParamSpec, TypeVar

from engine.api import EngineError
from retrieval.api import KnowledgeError
from server.core.errors import ApiError, ErrorFields, from_engine, from_knowledge

LARGE = 8192  # characters; a thread costs more than encoding less

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """A method of the store, in a thread; what it raises becomes an ApiError."""
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except KnowledgeError as error:
        raise from_knowledge(error) from error


async def with_api_errors(answer: Awaitable[T], field: str = "query") -> T:
    """What the models and the retriever refuse becomes an ApiError; `field` holds the text that they read."""
    try:
        return await answer
    except KnowledgeError as error:
        raise from_knowledge(error) from error
    except EngineError as error:
        raise from_engine(error, ErrorFields(prompt=field, grammar=field)) from error


@contextmanager
def blaming_field(field: str) -> Generator[None]:
    """Whoever names a file that there is not learns that it was in `field`."""
    try:
        yield
    except ApiError as error:
        raise replace(error, param=field) if error.code == "file_not_found" else error from error


async def in_thread_if_large(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`work(...)`, in a thread if there is enough of it (`size` characters) to make other requests wait."""
    return await asyncio.to_thread(work, *args, **kwargs) if size > LARGE else work(*args, **kwargs)
