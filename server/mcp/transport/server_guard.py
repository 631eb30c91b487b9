"""Watches what a server's process writes besides messages of MCP: a little is logged, and a flood ends the connection."""

import logging
import time
from collections.abc import Callable, Iterable

from server.mcp.sanitize import sanitize
from server.mcp.session import ServerMisbehaved, SessionLost

LOG = logging.getLogger("stoa")
PERIOD = 60.0  # seconds
MAX_UNREADABLE = 1000  # lines on standard output in a PERIOD
MAX_NOTIFICATIONS = 100  # passed on in a second
MAX_MESSAGES = 300_000  # that nobody waits for, in a PERIOD: each costs time that other servers and clients need
MAX_STDERR_BYTES = 8 << 20  # in a PERIOD


class ServerGuard:
    """Of one connection. `on_stop`: called once, when the connection is to be given up; `loss` is the reason then.
    Used on the event loop."""

    def __init__(self, label: str, secrets: Iterable[str] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self.label, self.secrets = label, tuple(secrets)
        self.on_stop = list[Callable[[], None]]()
        self.loss: SessionLost | None = None
        self._clock = clock
        self._began: float | None = None  # of the PERIOD; None: no line was unreadable yet
        self._count = 0  # unreadable lines in it
        self._minute, self._messages = clock(), 0  # when the PERIOD of the messages that nobody waits for began, and their number
        self._second, self._notifications = 0, 0  # the current second, and the notifications in it

    def stop(self, loss: SessionLost) -> None:
        if self.loss is None:
            self.loss = loss
            for call in self.on_stop:
                call()

    def count_unreadable(self, line: str) -> None:
        """The first line is logged, then their number once a PERIOD; more than MAX_UNREADABLE of them stop the connection."""
        now = self._clock()
        if self._began is None:
            LOG.warning("MCP server %s: it writes what is no message of MCP to standard output: %r", self.label, self.shown(line))
            self._began = now
        elif now - self._began >= PERIOD:
            LOG.warning("MCP server %s: %d lines on standard output were no messages of MCP", self.label, self._count)
            self._began, self._count = now, 0
        self._count += 1
        if self._count > MAX_UNREADABLE:
            self.stop(ServerMisbehaved(f"it wrote more than {MAX_UNREADABLE} lines that are no messages of MCP within a minute"))

    def takes_message(self) -> bool:
        """Of requests, notifications, and answers to nothing. More than MAX_MESSAGES of them stop the connection."""
        now = self._clock()
        if now - self._minute >= PERIOD:
            self._minute, self._messages = now, 0
        self._messages += 1
        if self._messages > MAX_MESSAGES:
            self.stop(ServerMisbehaved(f"it sent more than {MAX_MESSAGES} messages that nobody had asked for within a minute"))
        return self.loss is None

    def takes_notification(self) -> bool:
        """Whether a notification is passed on: each costs time, and the first hundred of a second say all that the others could."""
        second = int(self._clock())
        self._second, self._notifications = second, self._notifications + 1 if second == self._second else 1
        return self._notifications <= MAX_NOTIFICATIONS

    def stop_stderr_flood(self) -> None:
        self.stop(ServerMisbehaved(f"it wrote more than {MAX_STDERR_BYTES} bytes to standard error within a minute"))

    def log_stderr(self, tail: str) -> None:
        """What a process wrote before it ended is for the operator alone: it may contain secrets that nobody configured."""
        if tail:
            LOG.warning("MCP server %s: before it went away it wrote to standard error: %s", self.label, self.shown(tail))

    def shown(self, text: str) -> str:
        """The end of the text on one line, for the log."""
        return sanitize(text[-400:], self.secrets)
