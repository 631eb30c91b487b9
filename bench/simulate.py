"""How many replicas a load needs: arrivals are played through a model of the scheduler with step times that were measured here.

python -m bench.simulate measure --json steps.json                        a table of step times, and what the server adds to them
python -m bench.simulate predict --steps steps.json --rate 4 --replicas 1 2 4     or --trace FILE: arrival,prompt,answer
python -m bench.simulate check --rate 2 --json check.json                 measures, predicts, and plays the same load on a real server
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import servers
from bench.load import complete
from bench.prompts import Prompts
from bench.report import machine
from bench.scale.figures import Figures, figures
from bench.scale.model import Cost, Limits, Simulation
from bench.scale.steps import step_table
from bench.scale.times import StepTable, table_of
from bench.scale.trace import Arrival, Sizes, poisson, read
from bench.servers import Running
from server.weights.pull import pull

ALONE, TOGETHER = 5, 8  # requests that tell what the server adds
PROMPT, ANSWER = 100, 40


def predicted(arrivals: Sequence[Arrival], replicas: int, table: StepTable, cost: Cost) -> Figures:
    jobs = Simulation(replicas, Limits(), table, cost).run(arrivals)
    return figures((job.arrival.second, job.stamps) for job in jobs)


async def played(server: Running, prompts: Prompts, arrivals: Sequence[Arrival]) -> Figures:
    """The same on a real server, each request on its own connection."""
    bodies = [server.body(prompts.make(a.prompt), a.answer) for a in arrivals]
    began = time.perf_counter()

    async def one(arrival: Arrival, body: dict[str, Any]) -> tuple[float, Sequence[float]]:
        await asyncio.sleep(began + arrival.second - time.perf_counter())
        reply = await complete(server.url, body)
        return reply.sent, reply.stamps

    return figures(await asyncio.gather(*map(one, arrivals, bodies)))


async def measured_cost(server: Running, prompts: Prompts, table: StepTable) -> Cost:
    """What the server adds to a request that is alone, and to each answer of a step of eight."""
    alone = [await complete(server.url, server.body(prompts.make(PROMPT), 1)) for _ in range(ALONE)]
    bodies = [server.body(prompts.make(PROMPT), ANSWER) for _ in range(TOGETHER)]
    together = await asyncio.gather(*(complete(server.url, body) for body in bodies))
    gap = median(gap for reply in together for gap in reply.gaps[ANSWER // 2 :])
    request = median(reply.ttft for reply in alone) - table(0, PROMPT, 0.5)
    return Cost(request=max(0.0, request), token=max(0.0, (gap - table(TOGETHER, 0, 0.5)) / TOGETHER))


async def measured(model: Path, arrivals: Sequence[Arrival]) -> tuple[StepTable, Cost, Figures | None]:
    """Step times without a server, before and behind what a server does: a machine that others use, too, is not always as fast."""
    before, prompts = step_table(model), Prompts(model, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        running = await servers.start(servers.stoa(model, ["--embedding-model", "none"]), Path(folder) / "log")
        try:
            cost = await measured_cost(running, prompts, before)
            real = await played(running, prompts, arrivals) if arrivals else None
        finally:
            running.stop()
    return before.joined(step_table(model)), cost, real


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description="Predict times and tokens/s of replicas under a load.")
    parser.add_argument("do", choices=("measure", "predict", "check"))
    parser.add_argument("--model", default="smollm2", help="what is measured")
    parser.add_argument("--steps", metavar="FILE", type=Path, help="what measure or check wrote; without it predict measures")
    parser.add_argument("--trace", metavar="FILE", type=Path, help="arrivals: CSV with the columns arrival (s), prompt, answer (tokens)")
    parser.add_argument("--rate", type=float, default=1.0, help="without a trace: requests a second on average, drawn as a Poisson process")
    parser.add_argument("--seconds", type=float, default=60.0, help="for so long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replicas", type=int, nargs="+", default=[1])
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all numbers there")
    return parser


def main(argv: list[str] | None = None) -> None:
    parser = _parser()
    options = parser.parse_args(argv)
    if min(options.replicas) < 1 or options.rate <= 0 or options.seconds <= 0:
        parser.error("--replicas, --rate and --seconds must be more than 0")
    try:
        arrivals = read(options.trace) if options.trace else poisson(options.rate, options.seconds, options.seed, Sizes())
        known = _known(options.steps) if options.steps and options.do == "predict" else None
    except (OSError, ValueError) as error:
        parser.error(str(error))
    table, cost, real = known or asyncio.run(measured(pull(options.model), arrivals if options.do == "check" else ()))
    rows = {} if options.do == "measure" else {str(n): predicted(arrivals, n, table, cost) for n in options.replicas}
    numbers = _numbers(options, rows, real, len(arrivals)) | {"cost": asdict(cost), "steps": table.as_json()}
    _show(rows, real)
    if options.json:
        options.json.write_text(json.dumps(numbers), encoding="utf-8")


def _known(path: Path) -> tuple[StepTable, Cost, None]:
    """What was written before. ValueError where it is something else."""
    try:
        numbers = json.loads(path.read_text(encoding="utf-8"))
        return table_of(numbers["steps"]), Cost(**numbers["cost"]), None
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not what `python -m bench.simulate measure --json` writes: {error!r}") from error


def _numbers(options: argparse.Namespace, rows: dict[str, Figures], real: Figures | None, requests: int) -> dict[str, Any]:
    load = str(options.trace) if options.trace else f"Poisson, {options.rate} requests/s for {options.seconds} s, seed {options.seed}"
    found: dict[str, Any] = {"machine": machine(), "command": f"python -m bench.simulate {options.do}", "load": load, "requests": requests}
    if rows:
        found["predicted, by replicas"] = {name: asdict(row) for name, row in rows.items()}
    if real:
        found |= {"real, one replica": asdict(real)}
    if real and "1" in rows:
        found |= {"predicted over real, less one": rows["1"].off(real)}
    return found


def _show(rows: dict[str, Figures], real: Figures | None) -> None:
    shown = Table(title="ms to the first token and between tokens, and tokens/s", caption=machine())
    for column in ("replicas", *Figures.__annotations__):
        shown.add_column(column)
    for name, row in (rows | ({"1, real": real} if real else {})).items():
        shown.add_row(name, *map(str, asdict(row).values()))
    if rows:
        Console(width=120).print(shown)


if __name__ == "__main__":
    main()
