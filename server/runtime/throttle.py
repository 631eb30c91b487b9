"""Keeps what one client has refused, and large bodies, from slowing the answers of others: while something is generated, each client has
a share of a core for them, and whoever uses more is answered later and read more slowly. Nothing else is delayed, and nothing at all
while nobody is served."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from weakref import WeakValueDictionary

from server.core.cost import RequestCost, note_received

SHARE = 0.05  # of a core for all that is refused, and as much for odd framing
BURST = 0.02  # seconds of processor time that may be used at once
REQUEST_SECONDS = 0.002  # of processor time that the smallest request takes outside of its own code: connection, header, answer
BYTE_SECONDS = 1.5e-9  # that a byte of a body takes before it is parsed
MAX_DELAY = 20.0  # seconds until a refusal is sent
LARGE_BODY = 256 << 10  # bytes; up to here a body is read as it comes
BODY_RATE = 32 << 20  # bytes per second of large bodies
BODY_BURST = 512 << 10  # bytes
BODIES_AT_ONCE = 4  # large ones of a client that are in memory before their requests are answered
SERVED_SECONDS = 5.0  # so long after an answer others are expected to go on


class Pace:
    """A rate that accounts share evenly; each may be ahead of it by `burst`."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._paid: dict[str, float] = {}  # account -> when what it has used is paid for

    def book(self, account: str, amount: float) -> float:
        """Returns how many seconds to wait after `amount` was used."""
        now = self._clock()
        self._paid = {name: at for name, at in self._paid.items() if at > now}
        in_debt = len(self._paid.keys() | {account})
        paid = self._paid[account] = max(now, self._paid.get(account, now)) + amount * in_debt / self._rate
        return max(0.0, paid - now - self._burst / self._rate)


class Throttle:
    """Used from the event loop's thread. `generating`: whether an answer is being generated now."""

    def __init__(self, generating: Callable[[], bool]) -> None:
        self._generating, self._served = generating, float("-inf")
        self._refusals, self._framing, self._bytes = Pace(SHARE, BURST), Pace(SHARE, BURST), Pace(BODY_RATE, BODY_BURST)
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @property
    def busy(self) -> bool:
        """Whether somebody is served who would notice."""
        return time.monotonic() < self._served + SERVED_SECONDS or self._generating()

    def note_served(self) -> None:
        self._served = time.monotonic()

    def refusal_delay(self, cost: RequestCost) -> float:
        """Seconds to wait before a refusal is sent."""
        return min(self._refusals.book(cost.account, REQUEST_SECONDS + cost.seconds), MAX_DELAY) if self.busy else 0.0

    def framing_delay(self, account: str, seconds: float) -> float:
        """Seconds to wait before more is read on a connection whose data took `seconds` of processor time."""
        return min(self._framing.book(account, seconds), MAX_DELAY) if self.busy else 0.0

    def body(self, account: str, *, kept: bool) -> "BodyPace":
        """`kept`: it stays in memory as a whole."""
        return BodyPace(self, account, kept=kept)

    async def receive(self, account: str, size: int) -> None:
        if self.busy:
            await asyncio.sleep(self._bytes.book(account, size))

    def turn(self, account: str) -> asyncio.Semaphore:
        return self._turns.setdefault(account, asyncio.Semaphore(BODIES_AT_ONCE))


class BodyPace:
    """Of one body; what it has taken is free again at the end of the context."""

    def __init__(self, throttle: Throttle, account: str, *, kept: bool) -> None:
        self._throttle, self._account, self._kept = throttle, account, kept
        self._size, self._held = 0, AsyncExitStack()

    async def __aenter__(self) -> "BodyPace":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._held.aclose()

    async def received(self, size: int) -> None:
        """Waits until more may be read."""
        note_received(size, size * BYTE_SECONDS)
        was_small, self._size = self._size <= LARGE_BODY, self._size + size
        if self._size <= LARGE_BODY:
            return
        if was_small and self._kept:
            await self._held.enter_async_context(self._throttle.turn(self._account))
        await self._throttle.receive(self._account, size)
