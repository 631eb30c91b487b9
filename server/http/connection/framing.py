"""Requests whose framing is ambiguous or whose header is too large are refused before anything reads them."""

from typing import Any

import h11

MAX_HEADER_BYTES = 32 << 10  # of all names and values together
MAX_HEADERS = 200
EVENTS_AT_ONCE = 256  # such as chunks of a body, each of which takes some 30 µs


class StrictConnection(h11.Connection):
    """Raises h11.RemoteProtocolError also for what h11 lets pass. `error`: what it has raised. After EVENTS_AT_ONCE events it needs more
    data for once, and is `interrupted`: there are more in what it has."""

    error: h11.RemoteProtocolError | None = None
    interrupted = False
    _left = EVENTS_AT_ONCE

    def start_round(self) -> None:
        """EVENTS_AT_ONCE more events may be taken."""
        self.interrupted, self._left = False, EVENTS_AT_ONCE

    def next_event(self) -> Any:
        self._left -= 1
        if self._left < 0:
            self.interrupted = True
            return h11.NEED_DATA
        try:
            event = super().next_event()
            if isinstance(event, h11.Request):
                _expect_unambiguous(event)
                _expect_small(event)
        except h11.RemoteProtocolError as error:
            self.error = error
            raise
        return event


def _expect_unambiguous(request: h11.Request) -> None:
    """RFC 9112, 6.1: Content-Length beside Transfer-Encoding, and Transfer-Encoding before HTTP/1.1, may be request smuggling."""
    names = [name for name, _ in request.headers]
    if b"transfer-encoding" in names and (b"content-length" in names or request.http_version < b"1.1"):
        raise h11.RemoteProtocolError("Transfer-Encoding stands beside Content-Length, or in a request before HTTP/1.1")


def _expect_small(request: h11.Request) -> None:
    size = sum(len(name) + len(value) for name, value in request.headers)
    if size > MAX_HEADER_BYTES or len(request.headers) > MAX_HEADERS:
        told = f"the header is larger than {MAX_HEADER_BYTES} bytes, or has more than {MAX_HEADERS} fields"
        raise h11.RemoteProtocolError(told, error_status_hint=431)
