"""What one client's bombs do to another: time to the first token and between tokens of a client that goes on as usual, calm and while
three others send the same bomb again and again; and the server's memory before, and a minute after all of them.

python -m bench.floods [--json FILE] [--only NAME ...]
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench import servers
from bench.load import complete
from bench.servers import Running
from server.weights.pull import pull

THROWERS, ROUNDS, TOKENS = 3, 6, 32
PROMPT = "The history of the town begins in the year 1200, when merchants built a bridge over the river. " * 3
HELLO: list[dict[str, str]] = [{"role": "user", "content": "Hello"}]
LONG = "a b" * 2_400_000
Bomb = tuple[str, dict[str, Any]]


def _chat(**fields: Any) -> Bomb:
    return "/v1/chat/completions", {"messages": HELLO, "max_tokens": 8, **fields}


def _schema(schema: dict[str, Any]) -> Bomb:
    return _chat(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}})


def _nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"anyOf": [schema, {"type": "object", "properties": {"a": schema}}]}
    return schema


def _pattern(pattern: str) -> Bomb:
    return _schema({"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}, "required": ["a"]})


BOMBS: dict[str, Callable[[], Bomb]] = {
    "7 MB, chat": lambda: _chat(messages=[{"role": "user", "content": LONG}]),
    "7 MB, completions": lambda: ("/v1/completions", {"prompt": LONG, "max_tokens": 4}),
    "7 MB, responses": lambda: ("/v1/responses", {"input": LONG, "store": False}),
    "7 MB, messages": lambda: ("/v1/messages", {"messages": [{"role": "user", "content": LONG}], "max_tokens": 4}),
    "7 MB, tokenize": lambda: ("/tokenize", {"prompt": LONG}),
    "7 MB, count_tokens": lambda: ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": LONG}]}),
    "10,000 properties": lambda: _schema({"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(10_000)}}),
    "choice of 60,000": lambda: _chat(structured_outputs={"choice": [f"option {i}" for i in range(60_000)]}),
    "choice of 1 MB": lambda: _chat(structured_outputs={"choice": ["ab" * 500_000]}),
    "(.*[ab].{60}){3}": lambda: _chat(structured_outputs={"regex": "(.*[ab].{60}){3}"}),
    "^(a?){200}a{200}$": lambda: _pattern("^(a?){200}a{200}$"),
    "49,000 biases": lambda: _chat(logit_bias={str(i): 1 for i in range(49_000)}),
    "multipleOf 999983": lambda: _schema({"type": "object", "properties": {"n": {"type": "integer", "multipleOf": 999983}}}),
    "anyOf 16 deep": lambda: _schema(_nested(16)),
}


def throw(name: str, url: str, model: str) -> None:
    """Sends a bomb until the process is ended; prints what came back first."""
    path, body = BOMBS[name]()
    payload = json.dumps({"model": model, **body}).encode()

    def send() -> str:
        request = urllib.request.Request(url + path, payload, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return f"{answer.status} {answer.read(80)!r}"
        except urllib.error.HTTPError as error:
            return f"{error.code} {error.read().decode()[:160]}"
        except OSError as error:
            return str(error)

    def again() -> None:
        while True:
            send()

    print(send(), flush=True)
    with ThreadPoolExecutor(THROWERS) as pool:
        for _ in range(THROWERS):
            pool.submit(again)


async def victim(server: Running) -> dict[str, float]:
    """Milliseconds: median time to the first token, and the 99th percentile between tokens."""
    replies = [await complete(f"{server.url}/v1/completions", server.body(f"{i}. {PROMPT}", TOKENS)) for i in range(ROUNDS)]
    gaps = sorted(gap for reply in replies for gap in reply.gaps)
    return {
        "first": statistics.median(reply.ttft for reply in replies) * 1000,
        "p99": gaps[int(len(gaps) * 0.99)] * 1000,
        "worst": gaps[-1] * 1000,
    }


async def flooded(server: Running, name: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.floods", "--throw", name, server.url, server.server.model]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as thrower:
        assert thrower.stdout is not None
        answer = await asyncio.to_thread(thrower.stdout.readline)
        try:
            return {**await victim(server), "answer": answer.strip()}
        finally:
            thrower.kill()


async def run(names: list[str], pause: float) -> dict[str, Any]:
    log = Path(tempfile.mkdtemp()) / "log"
    server = await servers.start(servers.stoa(pull("smollm2"), []), log)
    try:
        await victim(server)
        calm, before = await victim(server), server.memory()
        print(f"{'calm':20} first {calm['first']:6.0f} ms  p99 {calm['p99']:6.1f} ms  worst {calm['worst']:6.1f} ms", flush=True)
        found: dict[str, Any] = {"calm": calm}
        for name in names:
            again = found[name] = await flooded(server, name)
            ratios = (
                f"first {again['first'] / calm['first']:5.1f} x  p99 {again['p99'] / calm['p99']:5.1f} x  worst {again['worst']:6.1f} ms"
            )
            print(f"{name:20} {ratios}  {again['answer'][:110]}", flush=True)
        await asyncio.sleep(pause)
        found["memory"] = {"before": before, "after": server.memory()}
        print(f"memory {before >> 20} MiB before, {server.memory() >> 20} MiB {pause:g} s after")
        return found
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--only", nargs="+", choices=BOMBS, default=list(BOMBS))
    parser.add_argument("--pause", type=float, default=60, help="seconds before memory is measured again")
    parser.add_argument("--throw", nargs=3, metavar=("NAME", "URL", "MODEL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.throw:
        throw(*options.throw)
        return
    began = time.time()
    found = asyncio.run(run(options.only, options.pause))
    if options.json:
        Path(options.json).write_text(json.dumps({"began": began, "floods": found}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
