"""How fast tokens come, told to whoever measures it."""

from typing import Protocol


class TimingObserver(Protocol):
    """Who wants to know how fast tokens come, in seconds."""

    def first_token(self, seconds: float, /) -> None: ...
    def between_tokens(self, seconds: float, /) -> None: ...
    def turn(self, seconds: float, /) -> None:
        """What a turn of the model took beyond generation and tools."""
        ...


class NoTimings:
    """Looks away."""

    def first_token(self, seconds: float, /) -> None: ...
    def between_tokens(self, seconds: float, /) -> None: ...
    def turn(self, seconds: float, /) -> None: ...
