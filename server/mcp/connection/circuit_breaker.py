"""When a server that fails is tried again. Pure: the caller brings the time and the dice."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Seconds."""

    first: float = 0.5  # before the first restart; doubles with each failure in a row
    longest: float = 30.0
    failures: int = 5  # in a row open the circuit
    rest: float = 60.0  # how long it stays open, before one attempt decides
    waits: float = 5.0  # how long a request waits for a server that is being connected
    ping: float = 2.0  # how long a server may take to show that it is there, after a call that brought nothing
    steady: float = 30.0  # a connection that has lasted so long was none of the failures


class CircuitBreaker:
    """Closed: everything passes. Open: nothing does, until `rest` is over. Half open: one attempt passes, whose outcome decides."""

    def __init__(self, patience: RetryPolicy) -> None:
        self.failures = 0  # in a row
        self._patience = patience
        self._open_until: float | None = None
        self._probing = False

    def is_open(self, now: float) -> bool:
        return self._open_until is not None and now < self._open_until

    def admit(self, now: float) -> bool:
        """Whoever is admitted reports `succeeded`, `failed` or `gave_up` afterwards."""
        if self._open_until is None:
            return True
        if now < self._open_until or self._probing:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        self.failures, self._open_until, self._probing = 0, None, False

    def failed(self, now: float) -> None:
        self.failures += 1
        if self.failures >= self._patience.failures:
            self._open_until = now + self._patience.rest
        self._probing = False

    def gave_up(self) -> None:
        """The attempt says nothing: it was cancelled, or there was no connection, which is its keeper's to count."""
        self._probing = False

    def delay(self, now: float, dice: float) -> float:
        """Until the next attempt to connect. `dice`: 0 to 1, so that servers that fell together do not rise together."""
        if self._open_until is not None:
            return max(0.0, self._open_until - now)
        slowest = min(self._patience.longest, self._patience.first * 2 ** max(0, self.failures - 1))
        return slowest * (0.5 + dice / 2)
