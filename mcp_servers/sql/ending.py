"""Decides between commit and timeout of a writing call, so that the answer matches what happened."""

from threading import Lock

from mcp_servers.common import Clock

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
