"""A model that answers: its names, the engine that runs it, the text it speaks."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from engine.api import Engine, EngineError, Usage
from retrieval.store.api import Store
from server.archive.api import Archive
from server.errors import Blame, from_engine, model_not_found
from server.grammars import Grammars
from server.host.api import ToolHost
from server.knowledge import Knowledge
from server.openai import common
from server.text import Text
from server.wish import Limits

T = TypeVar("T")


@dataclass(frozen=True)
class Served:
    names: tuple[str, ...]  # the first is its own, the others are accepted too
    engine: Engine
    text: Text
    created: int  # Unix time
    knowledge: Knowledge | None = None  # None: chat only
    archive: Archive | None = None  # None: nothing can be stored
    host: ToolHost | None = None  # None: no MCP servers
    database: Store | None = None  # in which knowledge base and archive lie; None: neither is there
    limits: Limits = field(default_factory=Limits)  # of a request's tool loop, at most

    @cached_property
    def grammars(self) -> Grammars:
        return Grammars(self.text)

    async def close(self) -> None:
        """Whoever still waits for an answer gets an error. The database comes last: the others use it."""
        if self.host is not None:
            await self.host.close()
        await self.engine.close()
        if self.knowledge is not None:
            await self.knowledge.close()
        elif self.database is not None:
            await asyncio.to_thread(self.database.close)

    def expect(self, model: str | None) -> None:
        """Raises ApiError 404 unless `model` is this one."""
        if model is not None and model not in self.names:
            raise model_not_found(model, self.names)


@dataclass
class Tally:
    """Counts a request's tokens over all its sequences, `each` prompt once."""

    each: int  # sequences per prompt
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    thought: int = 0
    _prompts: set[int] = field(default_factory=set[int])

    def add(self, index: int, usage: Usage, thought: int) -> None:
        self.completion += usage.completion
        self.thought += thought
        if (prompt := index // self.each) not in self._prompts:
            self._prompts.add(prompt)
            self.prompt += usage.prompt
            self.cached += usage.cached

    def usage(self) -> common.Usage:
        return common.Usage(
            prompt_tokens=self.prompt,
            completion_tokens=self.completion,
            total_tokens=self.prompt + self.completion,
            prompt_tokens_details=common.PromptDetails(cached_tokens=self.cached, text_tokens=self.prompt),
            completion_tokens_details=common.CompletionDetails(reasoning_tokens=self.thought, text_tokens=self.completion),
        )


async def blamed(items: AsyncGenerator[T], blame: Blame) -> AsyncGenerator[T]:
    """The same items; what the engine refuses becomes an ApiError."""
    async with aclosing(items):
        try:
            async for item in items:
                yield item
        except EngineError as error:
            raise from_engine(error, blame) from error
