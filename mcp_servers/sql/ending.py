"""Decides between commit and timeout of a writing call, so that the answer matches what happened, and ends what takes too long."""

import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread

from mcp_servers.common import Clock

PATIENCE = 5  # seconds to wait for a connection, and for a server that is asked to end a statement
TICK = 0.05  # seconds
LOST = "; it may have been committed nevertheless: look before you try again"


class Ending:
    """Either the change is committed or the caller gets Stopped, whichever comes first."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._lock = Lock()
        self._stopped = self._committing = False

    def stop(self) -> bool:
        """True: the time is over and nothing will be committed."""
        with self._lock:
            self._stopped = self._stopped or (self.clock.over and not self._committing)
            return self._stopped

    def commit(self) -> None:
        """Call right before COMMIT, which `stop` then does not interrupt. Raises Stopped."""
        with self._lock:
            self.clock.check()
            self._committing = True

    @property
    def committing(self) -> bool:
        return self._committing

    @property
    def hangs(self) -> bool:
        """A commit takes so long that its server must have gone."""
        return self._committing and self.clock.gone > self.clock.seconds + 2 * PATIENCE


@contextmanager
def watched(ending: Ending, cancel: Callable[[], None], descriptor: int) -> Generator[None]:
    """Calls `cancel`, which asks the server to end the statement, when the call is stopped. Where that does not help, the connection
    is shut down: a server that hangs answers neither. `descriptor`: of the connection's socket."""
    done = Event()

    def watch() -> None:
        while not done.wait(TICK):
            if ending.stop():
                cancel()
            elif not ending.hangs:
                continue
            if not done.wait(PATIENCE):
                _hang_up(descriptor)
            return

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _hang_up(descriptor: int) -> None:
    """Wakes the thread that waits for the socket, which stays its owner's to close."""
    with suppress(OSError), socket.socket(fileno=descriptor) as connection:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        finally:
            connection.detach()
