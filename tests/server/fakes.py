"""An engine that knows its lines, and an application around it."""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

import httpx
from starlette.applications import Starlette

from engine.api import (
    Delta,
    EngineError,
    EngineStopped,
    InvalidGrammar,
    JsonSchema,
    ModelInfo,
    NoEmbeddingModel,
    Request,
    Stats,
    TokenLogprob,
    Usage,
)
from server.app import build
from server.house import House
from server.served import Served
from server.settings import Settings
from server.text import Text, load_text
from tests.server.worlds import save

Script = Callable[[Request], Sequence[int]]


@dataclass
class FakeEngine:
    """Says what `script` tells it to, token by token, and remembers who asked for what. Which token is the likeliest is not
    its business: every logprob is that of a fair coin."""

    script: Script
    context: int = 512
    vocab: int = 100_000
    pause: float = 0.0  # seconds between tokens
    refusal: EngineError | None = None
    vectors: bool = False
    requests: list[Request] = field(default_factory=list[Request])
    running: int = 0
    aborts: int = 0
    alive: bool = True
    immortal: bool = False  # survives the end of its application

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(context=self.context, vocab=self.vocab)

    async def generate(self, request: Request) -> AsyncGenerator[Delta]:
        self.requests.append(request)
        self._check(request)
        self.running, finished, said = self.running + 1, False, 0
        try:
            for token in self.script(request):
                await asyncio.sleep(self.pause)
                if not self.alive:
                    raise EngineStopped("the engine is shutting down")
                said += 1
                finish = "stop" if token in request.sampling.stop_tokens else "length" if said == request.sampling.max_tokens else None
                usage = Usage(prompt=len(request.tokens), completion=said, cached=1) if finish else None
                finished = finish is not None
                yield Delta(tokens=(token,), logprobs=self._logprobs(request, token), finish=finish, usage=usage)
                if finished:
                    return
        finally:
            self.running -= 1
            self.aborts += not finished

    async def embed(self, batch: Sequence[tuple[int, ...]]) -> list[list[float]]:
        if not self.vectors:
            raise NoEmbeddingModel("no embedding model loaded")
        return [[float(len(tokens)), 0.5] for tokens in batch]

    def stats(self) -> Stats:
        return Stats(running=self.running, aborts=self.aborts, pages_free=10, pages_total=10)

    async def close(self) -> None:
        self.alive = self.immortal

    def _check(self, request: Request) -> None:
        if self.refusal is not None:
            raise self.refusal
        if not self.alive:
            raise EngineStopped("the engine is shutting down")
        if isinstance(request.grammar, JsonSchema) and "impossible" in request.grammar.schema:
            raise InvalidGrammar("the grammar cannot be used: impossible")

    def _logprobs(self, request: Request, token: int) -> tuple[TokenLogprob, ...]:
        if (wanted := request.sampling.logprobs) is None:
            return ()
        top = tuple((other, math.log(0.5)) for other in range(token, token + wanted))
        return (TokenLogprob(token=token, logprob=math.log(0.5), top=top),)


def text(name: str = "chatml") -> Text:
    return load_text(save(name, Path(mkdtemp())))


def says(words: str, text: Text, *, then: str = "<|im_end|>") -> Script:
    """The same words to everybody, then the end of the turn, then no end of x."""
    line = [*text.encode(words, control=True), *text.encode(then, control=True), *text.encode("x") * 1000]
    return lambda request: line


def served(engine: FakeEngine, text: Text) -> Served:
    return Served(names=("tiny",), engine=engine, text=text, created=1)


def ready(engine: FakeEngine, text: Text, **settings: object) -> tuple[Starlette, House]:
    app, house = build(Settings(**settings), load=lambda _: served(engine, text))  # pyright: ignore[reportArgumentType]
    house.served = served(engine, text)
    return app, house


def client(app: Starlette, **given: object) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", **given)  # pyright: ignore[reportArgumentType]


def ask(app: Starlette, method: str, path: str, **given: object) -> httpx.Response:
    """One request on an event loop of its own."""

    async def send() -> httpx.Response:
        async with client(app) as http:
            return await http.request(method, path, **given)  # pyright: ignore[reportArgumentType]

    return asyncio.run(send())
