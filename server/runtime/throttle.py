"""Keeps what one client has refused or does not wait for, and large bodies, from slowing the answers of others: while something is
generated, each client has a share of a core for them. Whoever uses more is refused later, read more slowly, and waits a little before
work that takes long, in which it is seen whether the client is still there. Nothing else is delayed, and nothing at all while nobody is
served."""

import asyncio
import math
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from weakref import WeakValueDictionary

from server.core.cost import RequestCost, note_received
from server.core.errors import unavailable

SHARE = 0.05  # of a core for all that is refused, as much for odd framing, and as much for what nobody waits for
BURST = 0.02  # seconds of processor time that may be used at once
ABANDONED_BURST = 0.2  # and by requests whose clients go away before the answer begins: people change their minds
REQUEST_SECONDS = 0.002  # of processor time that the smallest request takes outside of its own code: connection, header, answer
BYTE_SECONDS = 1.5e-9  # that a byte of a body takes before it is parsed
MAX_DELAY = 20.0  # seconds until a refusal is sent
MAX_PAUSE = 3.0  # seconds before work that takes long
MAX_DEBT = 60.0  # seconds after which all is forgiven
LARGE_BODY = 256 << 10  # bytes; up to here a body is read as it comes
BODY_RATE = 32 << 20  # bytes per second of large bodies
BODY_BURST = 512 << 10  # bytes
BODIES_AT_ONCE = 4  # large ones of a client that are in memory before their requests are answered
BODIES_WAITING = 256  # for that, each with its first LARGE_BODY bytes
SERVED_SECONDS = 5.0  # so long after an answer others are expected to go on


class Pace:
    """A rate that accounts share evenly; each may be ahead of it by `burst`, and has paid after `most` seconds at the latest.
    Thread-safe."""

    def __init__(self, rate: float, burst: float, most: float = math.inf, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._ahead, self._most, self._clock = rate, burst / rate, most, clock
        self._paid: dict[str, float] = {}  # account -> when what it has used is paid for
        self._lock = threading.Lock()

    def book(self, account: str, amount: float) -> float:
        """Returns how many seconds to wait after `amount` was used."""
        now = self._clock()
        with self._lock:
            self._paid = {name: at for name, at in self._paid.items() if at > now}
            in_debt = len(self._paid.keys() | {account})
            paid = self._paid.get(account, now) + amount * in_debt / self._rate
            self._paid[account] = min(paid, now + self._ahead + self._most)
        return self.debt(account)

    def debt(self, account: str) -> float:
        """Seconds until what was used is paid for."""
        now = self._clock()
        return max(0.0, self._paid.get(account, now) - now - self._ahead)


class Throttle:
    """Used from the event loop's thread. `generating`: whether an answer is being generated now; `keyed`: accounts are keys, so that an
    address may be that of a proxy, which speaks for many."""

    def __init__(self, generating: Callable[[], bool], clock: Callable[[], float] = time.monotonic, *, keyed: bool = False) -> None:
        self._generating, self._served, self._clock, self._keyed = generating, -math.inf, clock, keyed
        self._refusals, self._abandoned = Pace(SHARE, BURST, MAX_DEBT, clock), Pace(SHARE, ABANDONED_BURST, MAX_DEBT, clock)
        self._framing, self._bytes = Pace(SHARE, BURST, clock=clock), Pace(BODY_RATE, BODY_BURST, clock=clock)
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._waiting = Counter[str]()  # for a turn

    @property
    def busy(self) -> bool:
        """Whether somebody is served who would notice."""
        return self._clock() < self._served + SERVED_SECONDS or self._generating()

    def note_served(self) -> None:
        self._served = self._clock()

    def refusal_delay(self, cost: RequestCost) -> float:
        """Seconds to wait before a refusal is sent."""
        return min(self._refusals.book(cost.account, REQUEST_SECONDS + cost.seconds), MAX_DELAY) if self.busy else 0.0

    def abandoned(self, cost: RequestCost) -> None:
        """The client of a request went away before its answer began. What threads still do for it is booked, too."""
        if self.busy:
            self._abandoned.book(cost.account, REQUEST_SECONDS)
            cost.book_with(partial(self._abandoned.book, cost.account))

    def debt(self, account: str) -> float:
        """Seconds until what was refused and what was abandoned is paid for."""
        return max(self._refusals.debt(account), self._abandoned.debt(account))

    def pause_seconds(self, account: str) -> float:
        """Seconds to wait before work that takes long; 0 for who owes nothing."""
        return min(self.debt(account), MAX_PAUSE) if self.busy else 0.0

    def deferral(self, address: str) -> float:
        """Seconds to wait before a new connection is read that brings much; 0 where only its request says whose it is."""
        return 0.0 if self._keyed else self.pause_seconds(address)

    async def pause(self, account: str) -> None:
        if seconds := self.pause_seconds(account):
            await asyncio.sleep(seconds)

    def framing_delay(self, account: str, seconds: float) -> float:
        """Seconds to wait before more is read on a connection whose data took `seconds` of processor time."""
        return min(self._framing.book(account, seconds), MAX_DELAY) if self.busy else 0.0

    def body(self, account: str, *, kept: bool) -> "BodyPace":
        """`kept`: it stays in memory as a whole."""
        return BodyPace(self, account, kept=kept)

    async def receive(self, account: str, size: int) -> None:
        if self.busy:
            await asyncio.sleep(self._bytes.book(account, size))

    @asynccontextmanager
    async def turn(self, account: str) -> AsyncGenerator[None]:
        """Raises ApiError 503 where very many wait already; it is not sent later, as that would keep the body, but paid for, too."""
        if self._waiting[account] >= BODIES_WAITING:
            self.abandoned(RequestCost(account))
            raise unavailable("too many large requests at once; try again", "too_many_large_requests")
        turn = self._turns.setdefault(account, asyncio.Semaphore(BODIES_AT_ONCE))
        self._waiting[account] += 1
        try:
            await turn.acquire()
        finally:
            self._waiting[account] -= 1
            self._waiting = +self._waiting
        try:
            yield
        finally:
            turn.release()


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
