"""Around every transaction: errors of the database become DatabaseFault, and is remembered until a write succeeds."""

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager

from retrieval.api import DatabaseFault

_log = logging.getLogger(__name__)
Explain = Callable[[Exception], DatabaseFault | None]  # None: not an error of the database, or a bug; it stays as it is


class Guard:
    """Thread-safe. `fault`: what ended the latest transaction that failed, unless the database was only busy; None: a write has succeeded
    since."""

    def __init__(self, explain: Explain) -> None:
        self._explain = explain
        self.fault: DatabaseFault | None = None

    @contextmanager
    def reading(self) -> Generator[None]:
        """Raises DatabaseFault."""
        try:
            yield
        except Exception as error:
            if isinstance(error, DatabaseFault) or (fault := self._explain(error)) is None:
                raise
            _log.debug("%s: %s", fault, fault.detail)
            if fault.kind != "busy":
                self.fault = fault
            raise fault from None

    @contextmanager
    def writing(self) -> Generator[None]:
        """Raises DatabaseFault."""
        with self.reading():
            yield
        self.fault = None
