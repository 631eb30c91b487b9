"""What a client notices of what others send: its time to the first token and between tokens, calm and in a flood in turns."""

import asyncio
import signal
import statistics
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bench.load import complete
from bench.servers import Running

REPEATS, ROUNDS, TOKENS = 3, 4, 32
SETTLE = 0.3  # seconds after the throwers stop until it is calm
PROMPT = "The history of the town begins in the year 1200, when merchants built a bridge over the river. " * 3


@dataclass
class Noticed:
    """Seconds, of all requests of a client."""

    firsts: list[float] = field(default_factory=list[float])
    gaps: list[float] = field(default_factory=list[float])

    def figures(self) -> dict[str, float]:
        """Milliseconds: median time to the first token, 99th percentile and maximum between tokens."""
        gaps = sorted(self.gaps)
        return {"first": statistics.median(self.firsts) * 1000, "p99": gaps[int(len(gaps) * 0.99)] * 1000, "worst": gaps[-1] * 1000}


@dataclass(frozen=True)
class Flood:
    calm: dict[str, float]
    flood: dict[str, float]
    answer: str

    @property
    def ratios(self) -> dict[str, float]:
        return {name: self.flood[name] / self.calm[name] for name in ("first", "p99")}


async def ask(server: Running, noticed: Noticed) -> None:
    for i in range(ROUNDS):
        reply = await complete(f"{server.url}/v1/completions", server.body(f"{i}. {PROMPT}", TOKENS))
        noticed.firsts.append(reply.ttft)
        noticed.gaps += reply.gaps


async def flooded(server: Running, name: str) -> Flood:
    """The throwers are stopped in each calm turn, so that a machine which others use, too, is the same for both."""
    calm, flood = Noticed(), Noticed()
    async with _throwing(server, name) as (thrower, answer):
        for _ in range(REPEATS):
            thrower.send_signal(signal.SIGSTOP)
            await asyncio.sleep(SETTLE)
            await ask(server, calm)
            thrower.send_signal(signal.SIGCONT)
            await ask(server, flood)
    return Flood(calm.figures(), flood.figures(), answer)


@asynccontextmanager
async def _throwing(server: Running, name: str) -> AsyncGenerator[tuple[subprocess.Popen[str], str]]:
    """The process that throws, and the answer that its first bomb got."""
    command = [sys.executable, "-m", "bench.floods.throw", name, server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as thrower:
        try:
            assert thrower.stdout is not None
            yield thrower, (await asyncio.to_thread(thrower.stdout.readline)).strip()
        finally:
            thrower.kill()
