"""A model that answers: its names, the engine that runs it, the text it speaks."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from engine.api import Engine, EngineError, Usage
from server.errors import ApiError, Blame, from_engine
from server.openai import common
from server.reply import Piece
from server.text import Text


@dataclass(frozen=True)
class Served:
    names: tuple[str, ...]  # the first is its own, the others are accepted too
    engine: Engine
    text: Text
    created: int  # Unix time

    def expect(self, model: str | None) -> None:
        """Raises ApiError 404 unless `model` is this one."""
        if model is not None and model not in self.names:
            known = ", ".join(self.names)
            raise ApiError(404, f"the model {model!r} does not exist here; there is {known}", "model", "model_not_found")


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
            prompt_tokens_details=common.PromptDetails(cached_tokens=self.cached),
            completion_tokens_details=common.CompletionDetails(reasoning_tokens=self.thought),
        )


async def blamed(pieces: AsyncGenerator[tuple[int, Piece]], blame: Blame) -> AsyncGenerator[tuple[int, Piece]]:
    """The same pieces; what the engine refuses becomes an ApiError."""
    async with aclosing(pieces):
        try:
            async for item in pieces:
                yield item
        except EngineError as error:
            raise from_engine(error, blame) from error
