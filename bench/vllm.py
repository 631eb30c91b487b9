"""Tokens per second with vLLM as the engine, and of vLLM's own server: the same weights, the same vLLM, 16 clients.

    python -m bench.vllm [--rounds N] [--compiled]

In an environment that has vLLM and what this project requires. Servers take turns, each paused while the other is measured.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.export_hf import export
from bench.measures import many
from bench.prompts import Prompts
from bench.report import machine
from bench.servers import Running, Server, start, stoa, vllm
from server.weights.pull import pull

CLIENTS = 16


async def measure(model: Path, rounds: int, eager: list[str], logs: Path) -> dict[str, list[float]]:
    """Tokens per second, one number per round. What is compiled at the first request is over in a first round that does not count."""
    options = ["--engine", "vllm", "--kv-memory", "1024", "--embedding-model", "none", "--database-url", str(logs / "stoa.db")]
    servers = [stoa(model, [*options, "--context", "8192", *eager]), _with(vllm(sys.executable, model), eager)]
    running = list[Running]()
    try:
        for server in servers:
            running.append(await start(server, logs / server.name))
            running[-1].pause()
        return await _turns(running, model, rounds)
    finally:
        for one in running:
            one.stop()


async def _turns(running: list[Running], model: Path, rounds: int) -> dict[str, list[float]]:
    rates = {one.server.name: list[float]() for one in running}
    for turn in range(rounds + 1):
        for one in running:
            one.resume()
            found = await many(one, Prompts(model, turn), CLIENTS, requests=1 if turn == 0 else 2)
            one.pause()
            if turn:
                rates[one.server.name].append(found[f"rate{CLIENTS}"])
    return rates


def _with(server: Server, more: list[str]) -> Server:
    return replace(server, command=lambda port: [*server.command(port), *more])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compiled", action="store_true", help="let vLLM compile the model, which takes minutes at start")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        export(pull("smollm2"), model)
        rates = asyncio.run(measure(model, options.rounds, [] if options.compiled else ["--enforce-eager"], Path(folder)))
    ratios = [ours / theirs for ours, theirs in zip(rates["stoa"], rates["vLLM"], strict=True)]
    print(json.dumps({"machine": machine(), "clients": CLIENTS, "tokens_per_second": rates, "ratios": ratios}, indent=1))


if __name__ == "__main__":
    main()
