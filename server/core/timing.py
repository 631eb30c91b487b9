"""Observers of token timing: the metrics, or nobody."""

from typing import Protocol


class TimingObserver(Protocol):
    """Receives durations in seconds."""

    def first_token(self, seconds: float, /) -> None: ...
    def between_tokens(self, seconds: float, /) -> None: ...
    def turn(self, seconds: float, /) -> None:
        """Overhead of one turn: its time without generation and tools."""
        ...


class NoTimings:
    """Implements TimingObserver; ignores everything."""

    def first_token(self, seconds: float, /) -> None: ...
    def between_tokens(self, seconds: float, /) -> None: ...
    def turn(self, seconds: float, /) -> None: ...
