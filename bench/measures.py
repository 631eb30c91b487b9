"""What is measured. Each function runs one load on one server and returns named numbers."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median

from bench.load import Reply, RequestFailed, complete
from bench.prompts import Prompts
from bench.servers import Running

PROMPT, OUTPUT = 200, 64
LONG, STREAMS, STREAM_OUTPUT = 2000, 8, 400
PREFIX, SUFFIX = 1000, 16

Numbers = dict[str, float]
Measure = Callable[[Running, Prompts], Awaitable[Numbers]]


@dataclass(frozen=True)
class Row:
    """One line of the table. `better`: which way the number should go."""

    key: str
    title: str
    unit: str
    better: str  # "more" or "less"


ROWS = (
    Row("ready", "start to ready", "s", "less"),
    Row("ttft", f"first token, {PROMPT}-token prompt", "ms", "less"),
    Row("rate", f"one client, {PROMPT} in, {OUTPUT} out: whole request", "tok/s", "more"),
    Row("gap", "between tokens of one stream, median", "ms", "less"),
    Row("rate8", "8 clients", "tok/s", "more"),
    Row("rate16", "16 clients", "tok/s", "more"),
    Row("calm", f"between tokens of {STREAMS} streams, p99", "ms", "less"),
    Row("busy", f"the same while a {LONG:,}-token prompt arrives", "ms", "less"),
    Row("stall", "the latter over the former", "×", "less"),
    Row("cold", f"first token, {PREFIX:,}-token prefix, new", "ms", "less"),
    Row("warm", "the same, prefix seen before", "ms", "less"),
    Row("reuse", "the latter over the former", "×", "less"),
    Row("memory", "resident memory after all this", "MB", "less"),
)


async def single(server: Running, prompts: Prompts, requests: int = 5) -> Numbers:
    """One client, one request after the other."""
    replies = [await complete(server.url, server.body(prompts.make(PROMPT), OUTPUT)) for _ in range(requests)]
    return {
        "ttft": median(reply.ttft for reply in replies) * 1e3,
        "rate": median(reply.rate for reply in replies),
        "gap": median(gap for reply in replies for gap in reply.gaps) * 1e3,
    }


async def many(server: Running, prompts: Prompts, clients: int, requests: int = 2) -> Numbers:
    """`clients` at once, each sending `requests` one after the other: tokens per second of all together."""
    bodies = [[server.body(prompts.make(PROMPT), OUTPUT) for _ in range(requests)] for _ in range(clients)]

    async def client(mine: list[dict[str, object]]) -> int:
        return sum([(await complete(server.url, body)).tokens for body in mine])

    began = time.perf_counter()
    tokens = sum(await asyncio.gather(*map(client, bodies)))
    return {f"rate{clients}": tokens / (time.perf_counter() - began)}


async def eight(server: Running, prompts: Prompts) -> Numbers:
    return await many(server, prompts, 8)


async def sixteen(server: Running, prompts: Prompts) -> Numbers:
    return await many(server, prompts, 16)


async def isolation(server: Running, prompts: Prompts) -> Numbers:
    """p99 of the time between tokens of running streams, first alone, then while a long prompt is being read."""
    replies = [Reply(0.0) for _ in range(STREAMS)]
    bodies = [server.body(prompts.make(PROMPT), STREAM_OUTPUT) for _ in replies]
    long = server.body(prompts.make(LONG), 1)
    tasks = [asyncio.create_task(complete(server.url, body, reply)) for body, reply in zip(bodies, replies, strict=True)]
    try:
        await _until(lambda: all(reply.stamps for reply in replies), tasks)
        running = time.perf_counter()
        await _until(lambda: all(_after(reply, running) > 40 for reply in replies), tasks)
        arrives = time.perf_counter()
        answered = (await complete(server.url, long)).stamps[0]
        await _until(lambda: all(_after(reply, answered) for reply in replies), tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    calm, busy = _p99(replies, running, arrives), _p99(replies, arrives, answered)
    return {"calm": calm * 1e3, "busy": busy * 1e3, "stall": busy / calm}


async def _until(condition: Callable[[], bool], tasks: list[asyncio.Task[Reply]]) -> None:
    while not condition():
        if any(task.done() for task in tasks):
            raise RequestFailed("a stream ended before the long prompt was answered: the streams do not run side by side")
        await asyncio.sleep(0.01)


def _after(reply: Reply, moment: float) -> int:
    return sum(stamp > moment for stamp in reply.stamps)


def _p99(replies: list[Reply], start: float, end: float) -> float:
    """Of the gaps that overlap the time from `start` to `end`."""
    pairs = [pair for reply in replies for pair in zip(reply.stamps, reply.stamps[1:], strict=False)]
    gaps = sorted(b - a for a, b in pairs if b > start and a < end)
    return gaps[min(len(gaps) - 1, int(0.99 * len(gaps)))]


async def prefix(server: Running, prompts: Prompts, times: int = 3) -> Numbers:
    cold: list[float] = []
    warm: list[float] = []
    for _ in range(times):
        shared = prompts.make(PREFIX)
        for seen in (cold, warm):
            prompt = prompts.make(PREFIX + SUFFIX, shared)
            seen.append((await complete(server.url, server.body(prompt, 4))).ttft)
    return {"cold": median(cold) * 1e3, "warm": median(warm) * 1e3, "reuse": median(warm) / median(cold)}


MEASURES: tuple[Measure, ...] = (single, eight, sixteen, isolation, prefix)
