"""Replicas that share arrivals, as events: each does one step after the other, as engine/embedded/scheduler.py puts them together.

Decodes first, then prompts chunk by chunk up to the budget. Left out: memory that runs out, beginnings that are kept, owners, priorities.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from bench.scale.times import StepTime
from bench.scale.trace import Arrival


@dataclass(frozen=True, kw_only=True)
class Limits:
    """As engine.embedded.scheduler.Limits has them."""

    max_running: int = 64
    max_step_tokens: int = 512
    mixed_step_tokens: int = 16


@dataclass(frozen=True)
class Cost:
    """Seconds that the server takes beyond the engine: once for each request before it may begin, and in each step for each answer."""

    request: float = 0.0
    token: float = 0.0


@dataclass(eq=False)
class Job:
    """A request on its way. Its tokens come at `stamps`."""

    arrival: Arrival
    computed: int = 0
    stamps: list[float] = field(default_factory=list[float])

    @property
    def left(self) -> int:
        """Tokens that are not computed; one: it decodes."""
        return self.arrival.prompt + len(self.stamps) - self.computed

    @property
    def done(self) -> bool:
        return len(self.stamps) >= self.arrival.answer


@dataclass(eq=False)
class Replica:
    limits: Limits
    waiting: list[Job] = field(default_factory=list[Job])
    running: list[Job] = field(default_factory=list[Job])
    step: list[tuple[Job, int]] = field(default_factory=list[tuple[Job, int]])  # under way

    @property
    def load(self) -> int:
        return len(self.waiting) + len(self.running)

    def schedule(self) -> tuple[int, int]:
        """Puts the next step together; returns its decodes and its prompt tokens."""
        self.step = [(job, 1) for job in self.running if job.left == 1]
        decodes = len(self.step)
        budget = self._budget(decodes)
        for job in [job for job in self.running if job.left > 1]:
            budget = self._chunk(job, budget)
        while budget > 0 and self.waiting and len(self.running) < self.limits.max_running:
            self.running.append(self.waiting.pop(0))
            budget = self._chunk(self.running[-1], budget)
        return decodes, sum(size for _, size in self.step[decodes:])

    def finish(self, now: float) -> None:
        """The step under way ends."""
        for job, size in self.step:
            job.computed += size
            if job.left == 0:
                job.stamps.append(now)
        self.running = [job for job in self.running if not job.done]
        self.step = []

    def _budget(self, decodes: int) -> int:
        if not decodes:
            return self.limits.max_step_tokens
        prompts = self.load - decodes
        return min(self.limits.max_step_tokens, self.limits.mixed_step_tokens * -(-prompts // decodes))

    def _chunk(self, job: Job, budget: int) -> int:
        size = min(budget, job.left)
        if size > 0:
            self.step.append((job, size))
        return budget - size


class Simulation:
    """Arrivals go to the replica with the least requests, of those the first."""

    def __init__(self, replicas: int, limits: Limits, step_time: StepTime, cost: Cost, seed: int = 0) -> None:
        self._replicas = [Replica(limits) for _ in range(replicas)]
        self._step_time, self._cost, self._random = step_time, cost, Random(seed)
        self._ends: list[tuple[float, int]] = []  # when a replica's step ends

    def run(self, arrivals: Sequence[Arrival]) -> list[Job]:
        """All of them, served."""
        jobs = [Job(arrival) for arrival in sorted(arrivals, key=lambda a: a.second)]
        coming = [(job.arrival.second + self._cost.request, job) for job in reversed(jobs)]
        while coming or self._ends:
            if coming and (not self._ends or coming[-1][0] <= self._ends[0][0]):
                self._arrive(*coming.pop())
            else:
                self._end(*heapq.heappop(self._ends))
        return jobs

    def _arrive(self, now: float, job: Job) -> None:
        i = min(range(len(self._replicas)), key=lambda i: self._replicas[i].load)
        self._replicas[i].waiting.append(job)
        if not self._replicas[i].step:
            self._begin(now, i)

    def _end(self, now: float, i: int) -> None:
        self._replicas[i].finish(now)
        if self._replicas[i].load:
            self._begin(now, i)

    def _begin(self, now: float, i: int) -> None:
        decodes, tokens = self._replicas[i].schedule()
        seconds = self._step_time(decodes, tokens, self._random.random()) + self._cost.token * len(self._replicas[i].step)
        heapq.heappush(self._ends, (now + seconds, i))
