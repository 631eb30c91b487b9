"""What tracing costs: tokens/s of sixteen chats at once on three servers that take turns.

python -m bench.tracing --before CHECKOUT      a checkout of the commit before tracing came, its kernels built
python -m bench.tracing --before CHECKOUT --rounds 12 --json results.json

`on` sends every span to a collector in this process, which reads and drops it. Rates depend on what else the machine does, so the servers
are compared within each round, and processor seconds of the server for each token stand beside them. What a request costs without the
model, traced and not, in one process and in turns, tells the difference apart from all noise."""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from bench.prompts import Prompts
from bench.servers import Running, Server, start, stoa
from bench.start import processor_seconds
from engine.api import Delta, ModelInfo, Request, Stats, Usage
from server.app import create_app
from server.runtime.runtime import Runtime
from server.runtime.settings import Settings
from server.text.tokenizer import ChatTokenizer, load_tokenizer
from server.weights.pull import pull

CLIENTS, PROMPT, OUTPUT = 16, 200, 64
ON_AT_LEAST, OFF_AT_LEAST = 0.97, 0.99  # of the rate before; what is off differs by noise alone


@dataclass(frozen=True)
class Turn:
    rate: float  # tokens/s of all clients
    cost: float  # the server's processor milliseconds for each token


class Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None: ...


@contextmanager
def collecting() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.tracing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, required=True, metavar="CHECKOUT")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    with collecting() as url:
        turns = asyncio.run(_run(options.before, url, options.rounds))
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = url
        alone = asyncio.run(_without_model())
    told: dict[str, Any] = _told(turns) | {"without_model_ms_per_request": alone}
    told["command"] = f"python -m bench.tracing --before CHECKOUT --rounds {options.rounds}"
    print(json.dumps(told, indent=1))
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if told["on"]["rate_ratio"] >= ON_AT_LEAST and told["off"]["rate_ratio"] >= OFF_AT_LEAST else 1)


def _servers(model: Path, before: Path, url: str) -> list[Server]:
    ours = stoa(model, ["--embedding-model", "none", "--log-level", "warning"])
    return [
        replace(ours, name="before", env={"PYTHONPATH": str(before.resolve())}),
        replace(ours, name="off"),
        replace(ours, name="on", env={**ours.env, "OTEL_EXPORTER_OTLP_ENDPOINT": url}),
    ]


async def _run(before: Path, url: str, rounds: int) -> dict[str, list[Turn]]:
    model = pull("smollm2")
    started, turns = list[Running](), dict[str, list[Turn]]()
    with tempfile.TemporaryDirectory() as logs:
        try:
            for server in _servers(model, before, url):
                started.append(await start(server, Path(logs) / server.name))
                started[-1].pause()
            for number in range(-1, rounds):  # the first is to get warm
                for offset in range(len(started)):
                    running = started[(number + offset) % len(started)]
                    turn = await _turn(running, Prompts(model, number + 1))
                    if number >= 0:
                        turns.setdefault(running.server.name, []).append(turn)
        finally:
            for running in started:
                running.stop()
    return turns


async def _turn(running: Running, prompts: Prompts) -> Turn:
    running.resume()
    began, clock = processor_seconds(running.process.pid), asyncio.get_running_loop().time()
    async with httpx.AsyncClient(base_url=running.url, timeout=600, limits=httpx.Limits(max_connections=CLIENTS)) as client:
        tokens = sum(await asyncio.gather(*(_chat(client, prompts.make(PROMPT)) for _ in range(CLIENTS))))
    seconds, used = asyncio.get_running_loop().time() - clock, processor_seconds(running.process.pid) - began
    running.pause()
    return Turn(tokens / seconds, used / tokens * 1000)


async def _chat(client: httpx.AsyncClient, prompt: str) -> int:
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


def _told(turns: dict[str, list[Turn]]) -> dict[str, Any]:
    """Medians; ratios are medians of the ratios within each round."""
    before = turns["before"]
    found: dict[str, Any] = {"machine": f"{os.cpu_count()} cores", "clients": CLIENTS, "prompt": PROMPT, "output": OUTPUT}
    for name, own in turns.items():
        pairs = list(zip(own, before, strict=True))
        found[name] = {
            "tokens_per_s": round(median(turn.rate for turn in own), 1),
            "processor_ms_per_token": round(median(turn.cost for turn in own), 3),
            "rate_ratio": round(median(a.rate / b.rate for a, b in pairs), 4),
            "cost_ratio": round(median(a.cost / b.cost for a, b in pairs), 4),
            "rate_ratios": [round(a.rate / b.rate, 3) for a, b in pairs],
        }
    return found


@dataclass
class Quick:
    """An engine that takes no time."""

    info: ModelInfo
    alive: bool = True
    fault: str | None = None

    async def generate(self, request: Request) -> AsyncGenerator[Delta]:
        for said in range(1, OUTPUT + 1):
            done = said == OUTPUT
            usage = Usage(prompt=PROMPT, completion=said, cached=0, queued=0.0) if done or said == 1 else None
            yield Delta(tokens=(200 + said,), finish="length" if done else None, usage=usage)

    def stats(self) -> Stats:
        return Stats()

    async def close(self) -> None: ...


async def _without_model(requests: int = 20, blocks: int = 60) -> dict[str, float]:
    """Processor milliseconds of a request, those of the exporter's thread included; medians over blocks of requests."""
    text, prompts, used = load_tokenizer(pull("smollm2")), Prompts(pull("smollm2"), 1), dict[bool, list[float]]()
    async with AsyncExitStack() as stack:
        clients = {tracing: await stack.enter_async_context(_client(text, tracing=tracing)) for tracing in (False, True)}
        for block in range(-5, blocks):  # the first are to get warm
            for tracing, client in clients.items():
                began = time.process_time()
                for _ in range(requests):
                    await _chat(client, prompts.make(PROMPT))
                if block >= 0:
                    used.setdefault(tracing, []).append((time.process_time() - began) / requests * 1000)
    added = median(on - off for off, on in zip(used[False], used[True], strict=True))
    return {"off": round(median(used[False]), 3), "on": round(median(used[True]), 3), "added": round(added, 3)}


@asynccontextmanager
async def _client(text: ChatTokenizer, *, tracing: bool) -> AsyncGenerator[httpx.AsyncClient]:
    """Of an application in this process."""
    engine = Quick(ModelInfo(context=4096, vocab=text.backend.get_vocab_size()))
    runtime = Runtime(names=("m",), engine=engine, tokenizer=text, created=0)
    app, state = create_app(Settings(tracing=tracing), load=lambda _, watch: runtime)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
    ):
        while state.runtime is None:
            await asyncio.sleep(0.01)
        yield client


if __name__ == "__main__":
    main()
