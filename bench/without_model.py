"""What a streamed chat costs beside the model, in processor time: a process that is told when.

PYTHONPATH=CHECKOUT python -P bench/without_model.py     each line that comes in is answered by milliseconds of a request

Run by its path, so that any checkout's server can be measured by the same code (bench/tracing.py)."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from bench.prompts import Prompts
from engine.api import Delta, ModelInfo, Request, Stats, Usage
from server.app import create_app
from server.runtime.runtime import Runtime
from server.runtime.settings import Settings
from server.text.tokenizer import load_tokenizer
from server.weights.pull import pull

PROMPT, OUTPUT = 200, 64
REQUESTS = 20  # for each line


@dataclass
class Quick:
    """An engine that takes no time."""

    info: ModelInfo
    alive: bool = True
    fault: str | None = None

    async def generate(self, request: Request) -> AsyncGenerator[Delta]:
        for said in range(1, OUTPUT + 1):
            done = said == OUTPUT
            usage = Usage(prompt=len(request.tokens), completion=said, cached=0) if done or said == 1 else None
            yield Delta(tokens=(200 + said,), finish="length" if done else None, usage=usage)

    def stats(self) -> Stats:
        return Stats()

    async def close(self) -> None: ...


@asynccontextmanager
async def client() -> AsyncGenerator[httpx.AsyncClient]:
    """Of an application in this process."""
    text = load_tokenizer(pull("smollm2"))
    engine = Quick(ModelInfo(context=4096, vocab=text.backend.get_vocab_size()))
    runtime = Runtime(names=("m",), engine=engine, tokenizer=text, created=0)
    app, state = create_app(Settings(), load=lambda _, watch: runtime)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
    ):
        while state.runtime is None:
            await asyncio.sleep(0.01)
        yield client


async def chat(client: httpx.AsyncClient, prompt: str) -> int:
    """Tokens of a streamed answer."""
    body = {"model": "m", "messages": [{"role": "user", "content": prompt}], "max_tokens": OUTPUT, "temperature": 0, "ignore_eos": True}
    tokens = 0
    async with client.stream(
        "POST", "/v1/chat/completions", json=body | {"stream": True, "stream_options": {"include_usage": True}}
    ) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if '"usage":{' in line:
                tokens = json.loads(line.removeprefix("data: "))["usage"]["completion_tokens"]
    return tokens


async def main() -> None:
    made = Prompts(pull("smollm2"), 1)
    async with client() as own:
        while await asyncio.to_thread(sys.stdin.readline):
            prompts = [made.make(PROMPT) for _ in range(REQUESTS)]
            began = time.process_time()  # an exporter's thread counts, too
            for prompt in prompts:
                await chat(own, prompt)
            print((time.process_time() - began) / REQUESTS * 1000, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
