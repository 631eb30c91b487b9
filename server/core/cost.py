"""What a request costs in processor time: of the event loop's thread while it runs the request's own code, and of threads that work
for it. Who sends much that is refused is found by it."""

import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class RequestCost:
    """Thread-safe."""

    account: str = ""  # whose it is: the owner, or where there are no keys the client's address
    seconds: float = 0.0  # of processor time
    received: int = 0  # bytes of its body
    pause: Callable[[str], Awaitable[None]] | None = None  # what is awaited, with the account, before the first work that takes long
    _book: Callable[[float], object] | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, seconds: float) -> None:
        with self._lock:
            self.seconds += seconds
            book = self._book
        if book is not None:
            book(seconds)

    def book_with(self, book: Callable[[float], object]) -> None:
        """`book` is told, in any thread, of the seconds so far, and of those that threads still need for a request that has ended."""
        with self._lock:
            self._book, so_far = book, self.seconds
        book(so_far)


CURRENT: ContextVar[RequestCost | None] = ContextVar("cost of the request", default=None)


def current_account() -> str:
    """Of the request that is being answered; "" outside of one."""
    cost = CURRENT.get()
    return "" if cost is None else cost.account


def charge_to(account: str) -> None:
    """The request that is being answered is `account`'s."""
    if (cost := CURRENT.get()) is not None:
        cost.account = account


def note_received(size: int, seconds: float) -> None:
    """`size` bytes of the request's body have come, which took so much processor time."""
    if (cost := CURRENT.get()) is not None:
        cost.received += size
        cost.add(seconds)


def received_bytes() -> int:
    """Of the body of the request that is being answered."""
    cost = CURRENT.get()
    return 0 if cost is None else cost.received


def current_charge() -> Callable[[float], None] | None:
    """What takes, in any thread, seconds of processor time that the request which is being answered costs elsewhere."""
    cost = CURRENT.get()
    return None if cost is None else cost.add


async def before_long_work() -> None:
    """The request that is being answered waits, once, where its account has yet to pay for others."""
    if (cost := CURRENT.get()) is not None and (pause := cost.pause) is not None:
        cost.pause = None
        await pause(cost.account)


def counted(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`work(...)`; the request whose context this is pays for the thread's time."""
    began, cost = time.thread_time(), CURRENT.get()
    try:
        return work(*args, **kwargs)
    finally:
        if cost is not None:
            cost.add(time.thread_time() - began)


async def counted_steps(work: Awaitable[T]) -> T:
    """As `await work`; the request whose context this is pays for the time of its steps, not for that of what it waits for."""
    cost = CURRENT.get()
    return await (work if cost is None else _Steps(work, cost))


@dataclass(frozen=True)
class _Steps(Generic[T]):
    work: Awaitable[T]
    cost: RequestCost

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self.work.__await__()
        step: Callable[[], Any] = partial(next, steps)
        while True:
            began = time.thread_time()
            try:
                awaited = step()
            except StopIteration as end:
                return end.value
            finally:
                self.cost.add(time.thread_time() - began)
            try:
                step = partial(steps.send, (yield awaited))
            except BaseException as error:  # such as a cancellation
                step = partial(steps.throw, error)
