"""kill -9 of one of two replicas behind nginx, at random moments under load, and what becomes of what clients were told.

python -m bench.replicas --database-url postgresql://...       50 kills; the database is an empty one with pgvector
python -m bench.replicas --database-url postgresql://... --kills 5 --json results.json
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.replicas.checks import check
from bench.replicas.clients import KINDS, PATIENCE, World, forever
from bench.replicas.processes import Replica, nginx, replicas

STARTING = 600.0  # seconds until a replica is ready
OPEN_AT_MOST = 10.0  # seconds after a kill within which whoever waited for it has an error


@dataclass(frozen=True, kw_only=True)
class Plan:
    database_url: str
    kills: int = 50
    longest: float = 6.0  # seconds that both live, at most
    seed: int = 0
    minutes: float = 120.0  # after which no more are killed


async def run(plan: Plan, folder: Path) -> dict[str, Any]:
    options = ("--database-url", plan.database_url, "--threads", "1", "--max-running", "8")
    with replicas(options, folder) as servers, nginx([server.url for server in servers]) as url:
        await _all_ready(servers)
        async with httpx.AsyncClient(base_url=url, limits=httpx.Limits(max_keepalive_connections=0)) as http:
            world = await _world(http)
            clients = [asyncio.create_task(forever(kind, world)) for kind in KINDS]
            await _kill_all(plan, servers, world)
            await _ended(clients)
            problems = [problem async for problem in check(world)]
    return _result(world, problems)


async def _world(http: httpx.AsyncClient) -> World:
    store = (await http.post("/v1/vector_stores", json={"name": "kb"}, timeout=PATIENCE)).json()["id"]
    conversation = (await http.post("/v1/conversations", json={}, timeout=PATIENCE)).json()["id"]
    return World(http, store, conversation)


async def _kill_all(plan: Plan, servers: Sequence[Replica], world: World) -> None:
    rng, end = random.Random(plan.seed), time.monotonic() + 60 * plan.minutes
    for number in range(plan.kills):
        if time.monotonic() > end:
            return
        await asyncio.sleep(rng.uniform(0, plan.longest))
        victim = rng.choice(servers)
        world.tally.kills.append(time.monotonic())
        victim.kill()
        victim.start()
        await _all_ready(servers)
        print(f"{number + 1} kills, {sum(world.tally.requests.values())} requests, {len(world.tally.problems)} problems", flush=True)


async def _all_ready(servers: Sequence[Replica]) -> None:
    deadline = time.monotonic() + STARTING
    while not all([await asyncio.to_thread(lambda server=server: server.ready) for server in servers]):
        assert time.monotonic() < deadline, "a replica is not ready"
        await asyncio.sleep(0.2)


async def _ended(clients: Sequence["asyncio.Task[None]"]) -> None:
    for client in clients:
        client.cancel()
    await asyncio.wait(clients)


def _result(world: World, problems: Sequence[str]) -> dict[str, Any]:
    tally, kept = world.tally, world.promises
    slowest = [max(times, default=0.0) for times in (tally.until_error, tally.until_failed)]
    late = [f"an error came {seconds:.1f} s after a kill" for seconds in slowest if seconds > OPEN_AT_MOST]
    return {
        "kills": len(tally.kills),
        "requests": dict(tally.requests.most_common()),
        "acknowledged": {name: len(ids) for name, ids in vars(kept).items()},
        "slowest_error_s": round(slowest[0], 2),
        "slowest_failure_of_a_background_response_s": round(slowest[1], 2),
        "problems": [*tally.problems, *problems, *late],
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.replicas", description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--kills", type=int, default=Plan.kills)
    parser.add_argument("--longest", type=float, default=Plan.longest, metavar="SECONDS", help="both live for 0 to so many before a kill")
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--minutes", type=float, default=Plan.minutes, help="after which no more are killed")
    parser.add_argument("--json", metavar="FILE", help="write the result there")
    given = vars(parser.parse_args())
    target = given.pop("json")
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(run(Plan(**given), Path(folder)))
    text = json.dumps({"plan": {name: value for name, value in given.items() if name != "database_url"}, **result}, indent=1)
    print(text)
    if target:
        Path(target).write_text(f"{text}\n", encoding="utf-8")
    sys.exit(1 if result["problems"] else 0)


if __name__ == "__main__":
    main()
