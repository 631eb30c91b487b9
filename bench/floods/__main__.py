"""What one client's bombs do to another: time to the first token and between tokens of a client that goes on as usual, calm and while
three others send the same bomb again and again; and the server's memory before, and a minute after all of them. Takes some seven
minutes.

python -m bench.floods [--json FILE] [--only NAME ...]
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import servers
from bench.floods.bombs import BOMBS
from bench.floods.measure import Flood, Noticed, ask, flooded
from bench.servers import Running
from server.weights.pull import pull

RESULTS = Path(__file__).parents[1] / "results"
BAR = 2.0  # times calm


async def run(names: list[str], pause: float) -> dict[str, Any]:
    log = Path(tempfile.mkdtemp()) / "log"
    server = await servers.start(servers.stoa(pull("smollm2"), []), log)
    try:
        await ask(server, Noticed())
        before, floods = server.memory(), {name: await _flooded(server, name) for name in names}
        await asyncio.sleep(pause)
        memory = {"before": before, "after": server.memory()}
        print(f"memory {before >> 20} MiB before, {memory['after'] >> 20} MiB {pause:g} s after: {memory['after'] / before:.2f} x")
        return {"floods": {name: {**asdict(flood), "ratios": flood.ratios} for name, flood in floods.items()}, "memory": memory}
    finally:
        server.stop()


async def _flooded(server: Running, name: str) -> Flood:
    """Prints a row of the table in docs/benchmarks.md."""
    flood = await flooded(server, name)
    first, p99 = flood.ratios["first"], flood.ratios["p99"]
    mark = "" if max(first, p99) <= BAR else f"  above {BAR:g} x"
    print(f"| `{name}` | {first:.1f}× | {p99:.1f}× | {flood.flood['worst']:.0f} ms |  {flood.answer[:90]}{mark}", flush=True)
    return flood


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE", type=Path, help="by default a file in bench/results, where all bombs are thrown")
    parser.add_argument("--only", nargs="+", choices=BOMBS, default=list(BOMBS))
    parser.add_argument("--pause", type=float, default=60, help="seconds before memory is measured again")
    options = parser.parse_args()
    began = time.time()
    found = asyncio.run(run(options.only, options.pause))
    default = RESULTS / f"floods-{os.cpu_count()}-cores.json" if options.only == list(BOMBS) else None
    if path := options.json or default:
        path.write_text(json.dumps({"began": began, **found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
