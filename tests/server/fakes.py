"""An engine that knows its lines, and an application around it."""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx
from starlette.applications import Starlette
from tokenizers import Tokenizer

from engine.api import (
    Delta,
    EngineError,
    EngineStopped,
    InvalidGrammar,
    JsonSchema,
    Lark,
    ModelInfo,
    Request,
    Stats,
    TokenLogprob,
    Usage,
    VisionInfo,
)
from server.app import create_app
from server.runtime.knowledge_base import KnowledgeBase
from server.runtime.runtime import Runtime
from server.runtime.settings import Settings
from server.runtime.state import ServerState
from server.text.tokenizer import ChatTokenizer, load_tokenizer
from tests.server.api.schema.answers import answer_faults
from tests.server.worlds import save

Script = Callable[[Request], Sequence[int]]


@dataclass
class FakeEngine:
    """Says what `script` tells it to, token by token, and remembers who asked for what. Which token is the likeliest is not
    its business: every logprob is that of a fair coin."""

    script: Script
    context: int = 512
    vocab: int = 100_000
    parameters: int | None = None
    vision: VisionInfo | None = None
    pause: float = 0.0  # seconds between tokens
    refusal: EngineError | None = None
    requests: list[Request] = field(default_factory=list[Request])
    running: int = 0
    aborts: int = 0
    alive: bool = True
    fault: str | None = None
    immortal: bool = False  # survives the end of its application

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(context=self.context, vocab=self.vocab, parameters=self.parameters, vision=self.vision)

    async def generate(self, request: Request) -> AsyncGenerator[Delta]:
        self.requests.append(request)
        self._check(request)
        self.running, finished, said = self.running + 1, False, 0
        scored = self._prompt_logprobs(request)
        if request.sampling.max_tokens == 0:
            self.running -= 1
            yield Delta(finish="length", prompt_logprobs=scored, usage=Usage(prompt=len(request.tokens), completion=0, cached=1))
            return
        try:
            for token in self.script(request):
                await asyncio.sleep(self.pause)
                if not self.alive:
                    raise EngineStopped("the engine is shutting down")
                said += 1
                finish = "stop" if token in request.sampling.stop_tokens else "length" if said == request.sampling.max_tokens else None
                usage = Usage(prompt=len(request.tokens), completion=said, cached=1) if finish or said == 1 else None
                finished = finish is not None
                first = scored if said == 1 else ()
                yield Delta(tokens=(token,), logprobs=self._logprobs(request, token), prompt_logprobs=first, finish=finish, usage=usage)
                if finished:
                    return
        finally:
            self.running -= 1
            self.aborts += not finished

    def stats(self) -> Stats:
        return Stats(
            running=self.running, aborts=self.aborts, pages_free=10, pages_total=10, slots_cached=3, slots_total=3, slots_bytes=600
        )

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
        wanted = request.sampling.logprobs
        return () if wanted is None else (_fair_coin(token, wanted),)

    def _prompt_logprobs(self, request: Request) -> tuple[TokenLogprob, ...]:
        wanted = request.sampling.prompt_logprobs
        return () if wanted is None else tuple(_fair_coin(token, wanted) for token in request.tokens[1:])


def _fair_coin(token: int, wanted: int) -> TokenLogprob:
    return TokenLogprob(token=token, logprob=math.log(0.5), top=tuple((other, math.log(0.5)) for other in range(token, token + wanted)))


def text(name: str = "chatml") -> ChatTokenizer:
    return load_tokenizer(save(name, Path(mkdtemp())))


HERMES = (
    "{% if tools %}{{ '<|im_start|>system\n<tools>' }}{% for tool in tools %}{{ '\n' + (tool | tojson) }}{% endfor %}"
    "{{ '</tools><|im_end|>\n' }}{% endif %}{% for message in messages %}"
    "{{ '<|im_start|>' + ('user' if message.role == 'tool' else message.role) + '\n' }}"
    "{% if message.role == 'tool' %}{{ '<told>' + message.content + '</told>' }}{% else %}{{ message.content }}{% endif %}"
    "{% for call in message.tool_calls or [] %}{{ '<tool_call>\n' + (call.function | tojson) + '\n</tool_call>' }}{% endfor %}"
    "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def tool_text() -> ChatTokenizer:
    """Of a model that has learned to call tools; calls begin with a token of their own."""
    folder = save("chatml", Path(mkdtemp()))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(["<tool_call>", "</tool_call>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(HERMES)
    return load_tokenizer(folder)


def says(words: str, text: ChatTokenizer, *, then: str = "<|im_end|>") -> Script:
    """The same words to everybody, then the end of the turn, then no end of x."""
    line = [*text.encode(words, parse_special=True), *text.encode(then, parse_special=True), *text.encode("x") * 1000]
    return lambda request: line


def turns(text: ChatTokenizer, *words: str, then: str = "<|im_end|>") -> Script:
    """Other words each time, in this order; the last ones again and again."""
    lines = [[*text.encode(one, parse_special=True), *text.encode(then, parse_special=True)] for one in words]
    left = list(lines)
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


def calling(name: str, arguments: str) -> str:
    """A tool call as models write it whose template knows no tools."""
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


def muted(request: Request) -> bool:
    """It may call no tool: there is no way to begin one."""
    return request.closing is None and (request.grammar is None or (isinstance(request.grammar, Lark) and "~" in request.grammar.source))


def runtime(engine: FakeEngine, text: ChatTokenizer, knowledge: KnowledgeBase | None = None, **parts: Any) -> Runtime:
    return Runtime(
        names=("tiny",),
        engine=engine,
        tokenizer=text,
        created=1,
        knowledge_base=knowledge,
        **{"database": knowledge and knowledge.store, **parts},
    )


@cache
def _plain_settings() -> Settings:
    """Read once: files and variables are looked for in many places."""
    return Settings()


def ready(
    engine: FakeEngine, text: ChatTokenizer, knowledge: KnowledgeBase | None = None, parts: dict[str, Any] | None = None, **settings: object
) -> tuple[Starlette, ServerState]:
    """`parts`: what else is served (host, archive, limits)."""
    world = runtime(engine, text, knowledge, **(parts or {}))
    given = Settings(**settings) if settings else _plain_settings()  # pyright: ignore[reportArgumentType]
    app, state = create_app(given, load=lambda _, watch: world)
    state.runtime = world
    return app, state


def client(app: Starlette, **given: object) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", **given)  # pyright: ignore[reportArgumentType]


def ask(app: Starlette, method: str, path: str, **given: object) -> httpx.Response:
    """One request on an event loop of its own. Below OpenAI's paths the answer must be as the specification says."""

    async def send() -> httpx.Response:
        async with client(app) as http:
            return await http.request(method, path, **given)  # pyright: ignore[reportArgumentType]

    answer = asyncio.run(send())
    media_type = answer.headers.get("content-type", "")
    if path.startswith("/v1/"):
        found = answer_faults(method, path.removeprefix("/v1"), answer.status_code, media_type, answer.text)
        assert not found, "\n".join([f"{method} {path}", *found[:20], answer.text[:2000]])
    return answer
