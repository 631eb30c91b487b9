"""What endpoints need of a server, so that others than clients may be served, too."""

from contextlib import AbstractContextManager
from typing import Protocol

from server.core.timing import TimingObserver
from server.runtime.runtime import Runtime
from server.runtime.settings import Settings
from server.runtime.throttle import Throttle


class RequestObserver(TimingObserver, Protocol):
    def client_disconnected(self) -> None: ...
    def audio_heard(self, seconds: float, /) -> None:
        """So much of a recording has been transcribed."""
        ...


class Serving(Protocol):
    @property
    def name(self) -> str:
        """Of this process, in the leases of what it works on; no other has it."""
        ...

    @property
    def settings(self) -> Settings: ...

    @property
    def metrics(self) -> RequestObserver: ...

    @property
    def throttle(self) -> Throttle: ...

    def expect_ready(self) -> Runtime:
        """Raises ApiError 503 unless requests are taken."""
        ...

    def count_request(self) -> AbstractContextManager[None]:
        """Entered while a request is in progress."""
        ...
