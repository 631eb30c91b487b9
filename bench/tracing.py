"""What tracing costs: tokens/s of sixteen chats at once on three servers that take turns.

python -m bench.tracing --before CHECKOUT      a checkout of the commit before tracing came, its kernels built
python -m bench.tracing --before CHECKOUT --rounds 12 --json results.json

`on` sends every span to a collector in this process, which reads and drops it. Rates depend on what else the machine does, so the servers
are compared within each round, and processor seconds of the server for each token stand beside them. What a request costs without the
model, in processor time and in turns, tells differences that the noise of the rates hides (bench/without_model.py)."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from bench.prompts import Prompts
from bench.servers import Running, Server, start, stoa
from bench.start import processor_seconds
from bench.without_model import OUTPUT, PROMPT, chat
from server.weights.pull import pull

CLIENTS = 16
BARS = {"on": 0.03, "off": 0.001}  # of a request's processor time; that of what is off is noise alone


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
        beside = _beside_model(options.before, url)
    told: dict[str, Any] = _told(turns) | {"without_model": beside}
    whole = told["before"]["processor_ms_per_token"] * OUTPUT
    told["share_added"] = {name: round(beside[name]["added"] / whole, 5) for name in BARS}
    told["command"] = f"python -m bench.tracing --before CHECKOUT --rounds {options.rounds}"
    print(json.dumps(told, indent=1))
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if all(told["share_added"][name] <= bar for name, bar in BARS.items()) else 1)


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
                database = {"STOA_DATABASE_URL": str(Path(logs) / f"{server.name}.db")}  # versions may differ in what they keep
                started.append(await start(replace(server, env={**server.env, **database}), Path(logs) / server.name))
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
        tokens = sum(await asyncio.gather(*(chat(client, prompts.make(PROMPT)) for _ in range(CLIENTS))))
    seconds, used = asyncio.get_running_loop().time() - clock, processor_seconds(running.process.pid) - began
    running.pause()
    return Turn(tokens / seconds, used / tokens * 1000)


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
            "cost_ratios": [round(a.cost / b.cost, 3) for a, b in pairs],
        }
    return found


def _beside_model(before: Path, url: str, blocks: int = 60) -> dict[str, dict[str, float]]:
    """Processor milliseconds of a request without the model; `added`: to those before. Medians over blocks of requests."""
    used = dict[str, list[float]]()
    with ExitStack() as stack:
        children = {server.name: stack.enter_context(_child(server)) for server in _servers(pull("smollm2"), before, url)}
        for block in range(-5, blocks):  # the first are to get warm
            for name, child in children.items():
                milliseconds = _asked(child)
                if block >= 0:
                    used.setdefault(name, []).append(milliseconds)
    added = {name: median(a - b for a, b in zip(own, used["before"], strict=True)) for name, own in used.items()}
    return {name: {"ms_per_request": round(median(own), 3), "added": round(added[name], 3)} for name, own in used.items()}


@contextmanager
def _child(server: Server) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-P", str(Path(__file__).with_name("without_model.py"))]
    environment = {**os.environ, **server.env, "STOA_LOG_LEVEL": "warning"}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _asked(child: "subprocess.Popen[str]") -> float:
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write("\n")
    child.stdin.flush()
    return float(child.stdout.readline())


if __name__ == "__main__":
    main()
