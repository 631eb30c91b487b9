"""The circuit breaker of one MCP server. Pure: the caller passes in the time (time.monotonic) and the random number."""

from server.mcp.connection.retry_policy import RetryPolicy


class CircuitBreaker:
    """Closed: calls pass. Open: no call passes for `open_seconds` (`demand_delay`, where the policy has one). Half-open: one call
    passes, and its result closes or reopens it."""

    def __init__(self, policy: RetryPolicy) -> None:
        self.failures = 0  # consecutive
        self._policy = policy
        self._open_until: float | None = None  # for calls
        self._retry_at: float | None = None  # the next attempt that no call brings about, where the circuit is open
        self._probing = False  # half-open, and the one call is in progress

    def is_open(self, now: float) -> bool:
        return self._open_until is not None and now < self._open_until

    def allow(self, now: float) -> bool:
        """Whether a call may pass. If so, the caller reports its result by record_success, record_failure or release_probe."""
        if self._open_until is None:
            return True
        if now < self._open_until or self._probing:
            return False
        self._probing = True
        return True

    def record_success(self) -> None:
        self.failures, self._open_until, self._retry_at, self._probing = 0, None, None, False

    def record_failure(self, now: float, *, final: bool = False) -> None:
        """`final`: the circuit opens at once, for calls too: the server failed by what it did."""
        self.failures += 1
        if final or self.failures >= self._policy.failure_threshold:
            self._retry_at = now + self._policy.open_seconds
            demand = None if final else self._policy.demand_delay
            self._open_until = self._retry_at if demand is None else min(self._retry_at, now + demand)
        self._probing = False

    def release_probe(self) -> None:
        """The call decides nothing: it was cancelled, or failed for want of a connection, which the supervisor counts."""
        self._probing = False

    def reconnect_delay(self, now: float, jitter: float) -> float:
        """Seconds until the next attempt to connect: the rest of the open period, or the backoff. `jitter`: random, 0 to 1."""
        if self._retry_at is not None:
            return max(0.0, self._retry_at - now)
        return self._policy.backoff(self.failures, jitter)
