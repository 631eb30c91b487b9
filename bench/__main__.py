"""The same load on the same weights for every server that is installed; one table.

python -m bench                      peers found on PATH
python -m bench --llama-server PATH --vllm PATH --transformers PATH --json results.json
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from bench import report, servers
from bench.load import RequestFailed
from bench.measures import MEASURES, Measure
from bench.prompts import Prompts
from bench.servers import Running, Server
from server.weights.cache import build_directory
from server.weights.paths import default_home
from server.weights.progress import no_progress, progress_bar
from server.weights.pull import pull

LIMIT = 300  # seconds for one measure on one server


def main(argv: list[str] | None = None) -> None:
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no server is left behind
    with progress_bar() as progress:
        model = pull(options.model, progress=progress)
    chosen, missing = _servers(options, model)
    results = asyncio.run(run(chosen, missing, model, options.rounds))
    report.show(results, missing)
    if options.json:
        text = json.dumps(report.as_json(results, missing, " ".join(sys.argv)), indent=1)
        Path(options.json).write_text(text, encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stoa bench", description="Measure this server and its peers under the same load.")
    parser.add_argument("--model", default="smollm2", help="a GGUF model; peers without GGUF get its weights as bfloat16")
    parser.add_argument("--rounds", type=int, default=3, help="the servers take turns; medians over the rounds are shown")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there")
    parser.add_argument("--only", nargs="+", default=["stoa", "llama-server", "vLLM", "transformers"], help="servers to run")
    for name in ("llama-server", "vllm", "transformers"):
        parser.add_argument(f"--{name}", metavar="PATH", help="default: found on PATH")
    parser.add_argument("serve", nargs="*", help="arguments for our own server, behind --")
    return parser


def _servers(options: argparse.Namespace, model: Path) -> tuple[list[Server], dict[str, str]]:
    """What can be run, and why the rest cannot."""
    chosen, missing = [servers.stoa(model, options.serve)], {}
    gguf = model / "model.gguf"
    if llama := servers.find(options.llama_server, "llama-server"):
        chosen.append(servers.llama(llama, gguf))
    for name, build_server in (("vllm", servers.vllm), ("transformers", servers.transformers)):
        if binary := servers.find(getattr(options, name), name):
            chosen.append(build_server(binary, _exported(model)))
    chosen = [server for server in chosen if server.name in options.only]
    for name in options.only:
        if name not in {server.name for server in chosen}:
            missing[name] = "not found on PATH"
    return chosen, missing


def _exported(model: Path) -> Path:
    from bench.export_hf import export

    if not (model / "model.gguf").exists():
        return model
    return build_directory(default_home() / "models" / f"{model.name}-bf16", lambda staging: export(model, staging), no_progress)


async def run(chosen: list[Server], missing: dict[str, str], model: Path, rounds: int) -> report.Results:
    """Every server is started once; then they take turns at each measure, those that wait being stopped in their
    tracks. A server that does not start joins `missing`."""
    results: dict[str, dict[str, list[float]]] = {server.name: defaultdict(list) for server in chosen}
    started: list[Running] = []
    with tempfile.TemporaryDirectory() as logs:
        try:
            for server in chosen:
                await _start(server, Path(logs), started, results, missing)
            for number in range(rounds):
                for measure in MEASURES:
                    for server in started:
                        await _turn(server, measure, Prompts(model, _seed(number, measure)), results)
            for server in started:
                results[server.server.name]["memory"].append(server.memory() / 1e6)
        finally:
            for server in started:
                server.stop()
    return results


def _seed(number: int, measure: Measure) -> int:
    """The same prompts for every server, other ones in every round and measure."""
    return number * len(MEASURES) + MEASURES.index(measure)


async def _start(
    server: Server, logs: Path, started: list[Running], results: dict[str, dict[str, list[float]]], missing: dict[str, str]
) -> None:
    _say(f"{server.name}: starting")
    try:
        running = await servers.start(server, logs / f"{server.name}.log")
    except RequestFailed as error:
        missing[server.name] = str(error)
        del results[server.name]
        return
    results[server.name]["ready"].append(running.ready_s)
    running.pause()
    started.append(running)


async def _turn(server: Running, measure: Measure, prompts: Prompts, results: dict[str, dict[str, list[float]]]) -> None:
    name = server.server.name
    server.resume()
    try:
        numbers = await asyncio.wait_for(measure(server, prompts), LIMIT)
        for key, value in numbers.items():
            results[name][key].append(value)
        _say(f"{name}: {measure.__name__} {', '.join(f'{key} {value:.4g}' for key, value in numbers.items())}")  # type: ignore[attr-defined]
    except (RequestFailed, TimeoutError, OSError, EOFError) as error:
        _say(f"{name}: {measure.__name__} failed: {error!r}")  # type: ignore[attr-defined]
    finally:
        server.pause()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
