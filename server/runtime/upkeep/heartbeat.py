"""Where several processes share a database, each says every second that it is alive, and notices which of the others no longer do: what
those have left is taken over at once, long before their leases end."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping

from server.archive.api import Workers

LOG = logging.getLogger("stoa")
BEAT_SECONDS = 1.0
DEAD_AFTER = 5.0  # seconds of silence


class Watch:
    """Tells by this process's own clock who has been silent for DEAD_AFTER seconds: no two machines' clocks are compared."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard: dict[str, tuple[int, float]] = {}  # name -> count of beats, and when it was first seen
        self._looked = clock()

    def look(self, beats: Mapping[str, int]) -> list[str]:
        """`beats`: how often each of the others has said that it is alive. Returns the dead."""
        now = self._clock()
        if now - self._looked > DEAD_AFTER / 2:  # this process stood still, or the database was away: perhaps for the others, too
            self._heard.clear()
        self._looked = now
        self._heard = {name: self._since(name, count, now) for name, count in beats.items()}
        return [name for name, (_, since) in self._heard.items() if now - since >= DEAD_AFTER]

    def _since(self, name: str, count: int, now: float) -> tuple[int, float]:
        known = self._heard.get(name)
        return known if known is not None and known[0] == count else (count, now)


class Heartbeat:
    """A thread of its own, so that nothing that keeps the event loop busy makes this process look dead."""

    def __init__(self, workers: Workers, names: Collection[str]) -> None:
        """`names`: of this process, in leases."""
        self._workers, self._names, self._watch = workers, names, Watch()
        self._stopped, self._failing = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Blocks. What this process has left is for the others from now on."""
        self._stopped.set()
        self._thread.join()
        try:
            for name in self._names:
                self._workers.abandon(name)
        except Exception as error:
            LOG.warning("the others will notice that this server has stopped: %s", error)

    def _run(self) -> None:
        while True:
            self._beat()
            if self._stopped.wait(BEAT_SECONDS):
                return

    def _beat(self) -> None:
        try:
            for name in self._watch.look(self._workers.beat(self._names)):
                if self._workers.abandon(name):
                    LOG.warning("%s is silent: what it has left is taken over", name)
            self._failing = False
        except Exception as error:  # of any database; its monitor tells the operator
            if not self._failing:
                LOG.warning("the others were not told that this server is alive: %s", error)
            self._failing = True
