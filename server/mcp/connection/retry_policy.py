"""When and how often to reconnect to an MCP server that fails: delays, backoff and thresholds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """All times in seconds."""

    initial_delay: float = 0.5  # before the first reconnect; doubles with each consecutive failure
    max_delay: float = 30.0
    failure_threshold: int = 5  # consecutive failures that open the circuit
    open_seconds: float = 60.0  # how long the circuit stays open before one attempt is let through
    demand_delay: float | None = None  # after a failure, until a call may bring about an attempt; None: calls never do
    connect_wait: float = 5.0  # how long a request waits for a server that is being connected
    ping_timeout: float = 2.0  # how long a server may take to answer the ping that follows a failed call
    stable_after: float = 30.0  # a connection that lasted this long resets the count of failures

    def backoff(self, failures: int, jitter: float) -> float:
        """Seconds before the next reconnect: exponential, at most max_delay. `jitter`: random, 0 to 1; scales it by 0.5 to 1, so that
        servers that failed at the same time are not all restarted at the same time."""
        return min(self.max_delay, self.initial_delay * 2 ** max(0, failures - 1)) * (0.5 + jitter / 2)
