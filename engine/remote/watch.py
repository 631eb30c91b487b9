"""Keeps the state of one upstream: what it can do is tried when it comes, and whether it is still there asked every few seconds."""

import logging
import threading
from collections.abc import Callable

from engine.remote.upstream import Upstream

INTERVAL = 2.0  # seconds

_log = logging.getLogger(__name__)


class Absent(Exception):
    """The upstream does not answer, or not yet."""


class Misfit(ValueError):
    """It answers, and cannot be used. The message names it."""


class Watch:
    """A thread of its own, once it is started."""

    def __init__(self, upstream: Upstream, join: Callable[[], object], check: Callable[[], object], interval: float = INTERVAL) -> None:
        """`join`: all that must be known before requests go there. `check`: that it is there. Both raise Absent and Misfit."""
        self.upstream, self._join, self._check, self._interval = upstream, join, check, interval
        self._wake, self._closed = threading.Event(), False

    def start(self) -> None:
        threading.Thread(target=self._run, name=f"watch {self.upstream.name}", daemon=True).start()

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    def lost(self, fault: str) -> None:
        """A request could not reach it."""
        self._set(fault)
        self._wake.set()

    def look(self) -> None:
        """Finds out whether requests may go there."""
        try:
            (self._join if self.upstream.fault is not None else self._check)()
        except (Absent, Misfit) as error:
            self._set(str(error))
        else:
            self._set(None)

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait(self._interval)
            self._wake.clear()
            if not self._closed:
                self.look()

    def _set(self, fault: str | None) -> None:
        was, self.upstream.fault = self.upstream.fault, fault
        if fault != was:
            told = "takes requests" if fault is None else f"gets no requests: {fault}"
            _log.log(logging.INFO if fault is None else logging.WARNING, "%s (%s) %s", self.upstream.name, self.upstream.url, told)
