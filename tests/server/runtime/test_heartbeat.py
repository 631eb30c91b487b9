"""Who is taken for dead: whoever is silent while others are heard, and nobody else."""

import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pytest

from retrieval.api import DatabaseFault
from server.runtime.upkeep import heartbeat
from server.runtime.upkeep.heartbeat import DEAD_AFTER, Heartbeat, Watch


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_silent_are_dead_after_a_while() -> None:
    clock = Clock()
    watch, said = Watch(clock), list[list[str]]()
    for second in range(8):
        clock.now = 100.0 + second
        said.append(watch.look({"alive": second, "dead": 7}))
    assert said == [[], [], [], [], [], ["dead"], ["dead"], ["dead"]]
    assert watch.look({"alive": 8}) == []


def test_nobody_is_dead_because_this_process_heard_nothing() -> None:
    """It was stopped, or the database was away, which then was so for all."""
    clock = Clock()
    watch = Watch(clock)
    for second in (0, 1, 2, 3, 4, 60, 61, 62, 63, 64):
        clock.now = 100.0 + second
        assert watch.look({"other": 7}) == []
    clock.now = 100.0 + 60 + DEAD_AFTER
    assert watch.look({"other": 7}) == ["other"]


def test_one_that_speaks_again_is_alive() -> None:
    clock = Clock()
    watch = Watch(clock)
    for second in range(20):
        clock.now = 100.0 + second
        assert watch.look({"slow": second // 4}) == []


@dataclass
class FakeWorkers:
    """Implements archive.api.Workers: a database that is away for the second and third beat."""

    beats: int = 0
    abandoned: list[str] = field(default_factory=list[str])
    heard: threading.Event = field(default_factory=threading.Event)

    def beat(self, names: Collection[str]) -> Mapping[str, int]:
        self.beats += 1
        if self.beats in (2, 3):
            raise DatabaseFault("unreachable", "it is away")
        if self.beats > 40:
            self.heard.set()
        return {"silent": 1, "speaks": self.beats}

    def abandon(self, name: str) -> bool:
        self.abandoned.append(name)
        return True


def test_a_thread_beats_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(heartbeat, "DEAD_AFTER", 0.2)
    workers = FakeWorkers()
    beating = Heartbeat(workers, ["me", "mine"])
    beating.start()
    assert workers.heard.wait(30)
    beating.stop()
    count = workers.beats
    time.sleep(0.05)
    assert workers.beats == count and set(workers.abandoned) == {"silent", "me", "mine"} and workers.abandoned[-2:] == ["me", "mine"]
