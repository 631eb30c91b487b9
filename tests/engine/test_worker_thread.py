"""The thread of the engine and the encoder: messages, steps, and how it ends."""

import asyncio
import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from engine.api import EngineStopped
from engine.embedded.threads.worker_thread import WorkerThread

SECONDS = 30  # that a test waits for what must happen


@dataclass
class Work:
    """Counts down: a message adds steps, a step takes one away. Notes in `log` what is called, `threads` by whom."""

    left: int = 0
    log: list[str] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    fault: BaseException | None = None  # of the next step
    causes: list[BaseException | None] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    stepping: threading.Event = field(default_factory=threading.Event)  # a step has begun
    gate: threading.Event = field(default_factory=threading.Event)  # holds up steps until it is set

    def __post_init__(self) -> None:
        self.gate.set()

    def start(self) -> WorkerThread:
        return WorkerThread("worker", context=self.context(), idle=lambda: not self.left, step=self.step, on_stop=self.on_stop)

    @contextmanager
    def context(self) -> Generator[None]:
        self.note("enter")
        try:
            yield
        finally:
            self.note("exit")

    def add(self, steps: int) -> None:
        self.note("add")
        self.left += steps

    def step(self) -> None:
        self.stepping.set()
        assert self.gate.wait(SECONDS)
        self.note("step")
        if self.fault is not None:
            raise self.fault
        self.left -= 1

    def on_stop(self, cause: BaseException | None) -> None:
        self.note("stop")
        self.causes.append(cause)
        self.stopped.set()

    def note(self, what: str) -> None:
        self.log.append(what)
        self.threads.add(threading.current_thread().name)


def handled(worker: WorkerThread) -> None:
    """Returns when all messages until now have been handled."""
    done = threading.Event()
    worker.submit(done.set)
    assert done.wait(SECONDS)


def test_it_steps_until_it_is_idle_and_then_waits() -> None:
    work = Work()
    worker = work.start()
    worker.submit(lambda: work.add(3))
    handled(worker)
    asyncio.run(worker.close())
    assert work.log[:2] == ["enter", "add"] and work.log[-2:] == ["exit", "stop"] and 0 < work.log.count("step") <= 3
    assert work.threads == {"worker"} and work.causes == [None]


def test_messages_are_handled_between_steps() -> None:
    work = Work()
    work.gate.clear()
    worker = work.start()
    worker.submit(lambda: work.add(2))
    assert work.stepping.wait(SECONDS)
    worker.submit(lambda: work.add(1))
    worker.notify(lambda: work.add(0))
    work.gate.set()
    while work.left:
        handled(worker)
    assert work.log == ["enter", "add", "step", "add", "add", "step", "step"]
    asyncio.run(worker.close())


def test_an_exception_in_a_step_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    work = Work(fault=RuntimeError("the device is on fire"))
    worker = work.start()
    with caplog.at_level(logging.ERROR):
        worker.submit(lambda: work.add(1))
        assert work.stopped.wait(SECONDS)
    assert work.log == ["enter", "add", "step", "exit", "stop"] and work.causes == [work.fault]
    assert [record.getMessage() for record in caplog.records] == ["the worker has failed"]
    assert not worker.alive
    for refused in (worker.expect_alive, lambda: worker.submit(lambda: work.add(1))):
        with pytest.raises(EngineStopped, match="the engine has failed: the device is on fire"):
            refused()
    worker.notify(lambda: work.add(1))
    asyncio.run(worker.close())
    assert work.log[-1] == "stop"


@pytest.mark.parametrize("fault", [SystemExit(3), KeyboardInterrupt()])
def test_what_is_no_exception_ends_it_too(fault: BaseException) -> None:
    work = Work(fault=fault)
    worker = work.start()
    worker.submit(lambda: work.add(1))
    assert work.stopped.wait(SECONDS) and work.causes == [fault] and not worker.alive


def test_an_exception_in_a_message_ends_it() -> None:
    work = Work()
    worker = work.start()
    worker.submit(lambda: [][0])
    assert work.stopped.wait(SECONDS)
    assert isinstance(work.causes[0], IndexError) and not worker.alive


def test_a_thread_that_cannot_begin_says_why() -> None:
    class Broken(Work):
        @contextmanager
        def context(self) -> Generator[None]:
            raise OSError("no such device")
            yield

    work = Broken()
    worker = work.start()
    assert work.stopped.wait(SECONDS) and work.log == ["stop"]
    with pytest.raises(EngineStopped, match="no such device"):
        worker.expect_alive()


def test_close_while_a_step_runs_and_messages_wait() -> None:
    """The step is finished; what was taken before the end is handled, so that nobody is forgotten."""
    work = Work()
    work.gate.clear()
    worker = work.start()
    worker.submit(lambda: work.add(1000))
    assert work.stepping.wait(SECONDS)

    async def close() -> None:
        closing = asyncio.ensure_future(worker.close())
        await asyncio.sleep(0)  # it has been told to end
        worker.submit(lambda: work.add(5))
        assert worker.alive and not closing.done()
        work.gate.set()
        await closing

    asyncio.run(close())
    assert work.log[-3:] == ["exit", "add", "stop"] and work.log.count("step") == 1 and work.causes == [None]
    with pytest.raises(EngineStopped, match="shutting down"):
        worker.submit(lambda: work.add(1))


def test_close_while_it_waits_and_again() -> None:
    work = Work()
    worker = work.start()
    handled(worker)

    async def close() -> None:
        await asyncio.gather(worker.close(), worker.close())
        await worker.close()

    asyncio.run(close())
    assert work.log == ["enter", "exit", "stop"] and not worker.alive


def test_no_submitted_message_is_lost() -> None:
    """Many submit while it dies: each message either is handled or was refused."""
    work, accepted, seen = Work(), list[int](), list[int]()
    worker = work.start()

    def submit_all(first: int) -> None:
        for number in range(first, first + 2000):
            try:
                worker.submit(lambda number=number: seen.append(number))
            except EngineStopped:
                return
            accepted.append(number)

    threads = [threading.Thread(target=submit_all, args=(n * 2000,)) for n in range(4)]
    for thread in threads:
        thread.start()
    worker.notify(lambda: [][0])
    for thread in threads:
        thread.join()
    assert work.stopped.wait(SECONDS)
    assert sorted(seen) == sorted(accepted)
