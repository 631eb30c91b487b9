"""How many connections may be open, and which of them is closed for a new one."""

import ipaddress
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

RESERVED_FILES = 256  # for databases, models, MCP servers; half of all, where there are few
MOST_FILES = 65_536  # the limit of open files is raised to the hard one, or to this
MOST_DEFERRED = 256  # each keeps what the system's buffers take
SHARE = 4  # of an address that is not loopback: 1/SHARE of all connections


class OpenConnection(Protocol):
    @property
    def address(self) -> str:
        """Of the client; "" for a Unix socket."""
        ...

    @property
    def idle(self) -> bool:
        """Whether no request has arrived as a whole that is not answered yet."""
        ...

    def abort(self) -> None:
        """Closes it at once."""
        ...


class OpenConnections:
    """At most `most`, and of one address a share of them. Used from the event loop's thread."""

    def __init__(self, most: int) -> None:
        self.most, self.most_of_address = most, max(1, most // SHARE)
        self._open: dict[OpenConnection, None] = {}  # oldest first
        self._addresses = Counter[str]()
        self._deferred: dict[OpenConnection, None] = {}

    def add(self, new: OpenConnection) -> bool:
        """Makes room by closing the oldest connection on which nothing is being answered. False: there is none; `new` is not added."""
        if self._of_address_full(new.address) and not self._close_idle(new.address):
            return False
        if len(self._open) >= self.most and not self._close_idle(None):
            return False
        self._open[new] = None
        self._addresses[new.address] += 1
        return True

    def remove(self, connection: OpenConnection) -> None:
        if connection in self._open:
            del self._open[connection]
            self._addresses[connection.address] -= 1
            if not self._addresses[connection.address]:
                del self._addresses[connection.address]

    def defer(self, connection: OpenConnection) -> None:
        """It is not read for now. The oldest such is closed for it where there are MOST_DEFERRED."""
        self._deferred[connection] = None
        if len(self._deferred) > MOST_DEFERRED:
            oldest = next(iter(self._deferred))
            del self._deferred[oldest]
            oldest.abort()

    def resume(self, connection: OpenConnection) -> None:
        """It is read again, or closed."""
        self._deferred.pop(connection, None)

    def _of_address_full(self, address: str) -> bool:
        """A proxy on this machine speaks for many clients."""
        return self._addresses[address] >= self.most_of_address and not _is_local(address)

    def _close_idle(self, address: str | None) -> bool:
        idle = next((one for one in self._open if one.idle and address in (None, one.address)), None)
        if idle is None:
            return False
        self.remove(idle)
        idle.abort()
        return True


@dataclass(frozen=True)
class ConnectionLimits:
    most: int  # open at the same time
    accepted_at_once: int  # it takes some rounds of the event loop until those that are too many are closed


def connection_limits() -> ConnectionLimits:
    """As many as the limit of open files allows, which is raised first."""
    files = _file_limit()
    reserved = min(RESERVED_FILES, files // 2)
    return ConnectionLimits(most=max(1, files - reserved), accepted_at_once=max(2, reserved // 16))


def _file_limit() -> int:
    if sys.platform == "win32":
        return 8192
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft


def _is_local(address: str) -> bool:
    try:
        return not address or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return True
