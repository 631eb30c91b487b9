"""A thread that owns the device and all that is computed on it: other threads send it messages, and between messages it takes one
step after another."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from engine.api import EngineStopped

Message = Callable[[], None]  # called in the thread

_log = logging.getLogger(__name__)


class WorkerThread:
    """Starts at once; `close` ends it, and so does any exception in it. Inside `context`, all messages are handled, then `step` is
    called unless `idle()`, and so on. At the end `on_stop` is called with the exception, or None after `close`; no message comes
    after it. `rest` is called after each `rest_every` seconds without anything to do. All these run in the thread."""

    def __init__(
        self,
        name: str,
        *,
        context: AbstractContextManager[None],
        idle: Callable[[], bool],
        step: Callable[[], None],
        on_stop: Callable[[BaseException | None], None],
        rest: Callable[[], None] = lambda: None,
        rest_every: float | None = None,
    ) -> None:
        self._name, self._context, self._idle, self._step, self._on_stop = name, context, idle, step, on_stop
        self._rest, self._rest_every = rest, rest_every
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        self._lock = Lock()
        self._alive, self._closing = True, False
        self._cause: BaseException | None = None
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False once it has failed or was closed, before `on_stop` is called."""
        return self._alive

    def expect_alive(self) -> None:
        """Raises EngineStopped."""
        if not self._alive:
            raise stopped_error(self._cause)

    def submit(self, message: Message) -> None:
        """From any thread. Raises EngineStopped; where it does not, the message is handled for certain, if need be before `on_stop`."""
        with self._lock:
            self.expect_alive()
            self._inbox.put(message)

    def notify(self, message: Message) -> None:
        """From any thread. Nothing happens once the thread has ended."""
        self._inbox.put(message)

    async def close(self) -> None:
        """Returns when the thread has ended. May be called again."""
        self._inbox.put(self._end)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        try:
            with self._context:
                while self._handle_messages():
                    self._step()
        except BaseException as error:
            _log.exception("the %s has failed", self._name)
            self._cause = error
        finally:
            self._stop()

    def _handle_messages(self) -> bool:
        """Handles all that are there; waits for one where there is nothing to compute. False: the thread is to end."""
        while not self._closing and (self._idle() or not self._inbox.empty()):
            self._next()()
        return not self._closing

    def _next(self) -> Message:
        while True:
            try:
                return self._inbox.get(timeout=self._rest_every)
            except Empty:
                self._rest()

    def _stop(self) -> None:
        with self._lock:
            self._alive = False
        while not self._inbox.empty():
            self._inbox.get()()
        self._on_stop(self._cause)

    def _end(self) -> None:
        self._closing = True


def stopped_error(cause: BaseException | None) -> EngineStopped:
    """What callers get; a new one for each."""
    return EngineStopped("the engine is shutting down" if cause is None else f"the engine has failed: {cause}")
