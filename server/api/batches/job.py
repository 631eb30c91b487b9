"""One batch that this process has leased: validated, answered line by line, and written to files."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from retrieval.store.api import Store
from server.api.batches.line import answer_line, failed_line
from server.api.batches.outputs import end_batch, resumed_end
from server.api.batches.validation import BatchLimits, validate
from server.archive.api import Archive
from server.archive.batches.records import MAX_ATTEMPTS, BatchEnd, BatchLine, BatchRecord, LeaseLost, LineResult
from server.core.errors import ApiError
from server.core.threads import in_thread_to_its_end, wait_through
from server.http.endpoint import Endpoint

LOG = logging.getLogger("stoa")
LEASE_SECONDS = 30.0  # after that time without a renewal, another process may go on with a batch
RENEWAL_SECONDS = 5.0
RETRY_SECONDS = 1.0  # until a failed write is retried
PAUSE_SECONDS = 10.0  # after an error of ours
TAKEN_LINES = 8  # at once; after a crash they are tried one by one
NOT_FOUND = 404
INPUT_GONE = {"code": "file_not_found", "message": "the input file was deleted before it was read", "param": "input_file_id", "line": None}
FATAL = ("server_error", f"the process that worked on this request has ended {MAX_ATTEMPTS} times without a result")


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """What jobs work with, and share."""

    archive: Archive
    store: Store
    endpoints: dict[str, Endpoint]  # by path; they serve in idle time
    limits: BatchLimits
    slots: asyncio.Semaphore  # lines at once, of all batches
    quiet: Callable[[], Awaitable[None]]  # returns once no request is in progress
    count_line: Callable[[str], None]  # "completed" or "failed"
    worker: str
    clock: Callable[[], float] = time.time


@dataclass(eq=False)
class BatchJob:
    batch: BatchRecord
    place: Workplace
    nudged: asyncio.Event = field(default_factory=asyncio.Event)  # the batch has been changed: look at once
    _taken: set[int] = field(default_factory=set[int])  # numbers of lines that are not answered yet

    async def run(self) -> None:
        """Until the batch has ended or its next stage has begun, or the lease is lost. Cancelled, it gives the batch back."""
        try:
            await self._work()
        except LeaseLost:
            LOG.info("%s goes on elsewhere, or differently", self.batch.id)
        except ApiError as error:
            LOG.warning("%s pauses: %s", self.batch.id, error.message)
            await asyncio.sleep(RETRY_SECONDS)
        except Exception:
            LOG.exception("%s pauses", self.batch.id)
            await asyncio.sleep(PAUSE_SECONDS)
        finally:
            await self._release()

    async def _work(self) -> None:
        match self.batch.status:
            case "validating":
                await self._beside_renewals(self._validate())
            case "in_progress":
                expired = self.batch.expires_at <= self.place.clock()
                end = "expired" if expired else await self._until_stopped(self._answer_all())
                if end != "cancelled":
                    await in_thread_to_its_end(self.place.archive.finalize_batch, self.batch.id, self.place.worker)
                await self._end(end)
            case "cancelling":
                await self._end("cancelled")
            case _:
                await self._end(resumed_end(self.batch))

    async def _validate(self) -> None:
        place = self.place
        try:
            await self._long(validate, place.store, place.archive, self.batch, place.worker, place.limits)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            await in_thread_to_its_end(place.archive.refuse_batch, self.batch.id, place.worker, [INPUT_GONE])

    async def _write_end(self, end: BatchEnd) -> None:
        place = self.place
        await self._long(end_batch, place.store, place.archive, self.batch, place.worker, end)

    async def _long(self, work: Callable[..., None], *args: object) -> None:
        """In a thread. `work` is also given whether to go on, which it asks now and then, and raises LeaseLost."""
        stopped = threading.Event()
        running = asyncio.ensure_future(in_thread_to_its_end(work, *args, lambda: not stopped.is_set()))
        try:
            await asyncio.wait((running,))
        finally:
            stopped.set()
            await wait_through(running)
        running.result()

    async def _end(self, end: BatchEnd) -> None:
        await self._beside_renewals(self._write_end(end))
        LOG.info("%s has ended: %s", self.batch.id, end)

    # lines

    async def _answer_all(self) -> None:
        """Those whose processes have died come first, each alone: one of them may be the reason."""
        after = 0
        while found := await self._take(after, 1, tried=True):
            await self._acquire_slot()
            await self._answer_and_release(found[0])
            after = found[0].number
        async with asyncio.TaskGroup() as group:
            after = 0
            while found := await self._take(after, TAKEN_LINES, tried=False):
                for line in found:
                    await self._acquire_slot()
                    group.create_task(self._answer_and_release(line))
                after = found[-1].number

    async def _take(self, after: int, limit: int, *, tried: bool) -> list[BatchLine]:
        place = self.place
        found = await in_thread_to_its_end(place.archive.take_lines, self.batch.id, place.worker, after, limit, tried=tried)
        self._taken |= {line.number for line in found}
        return found

    async def _acquire_slot(self) -> None:
        await self.place.slots.acquire()
        try:
            await self.place.quiet()
        except BaseException:
            self.place.slots.release()
            raise

    async def _answer_and_release(self, line: BatchLine) -> None:
        try:
            await self._answer(line)
        finally:
            self.place.slots.release()

    async def _answer(self, line: BatchLine) -> None:
        if line.attempts >= MAX_ATTEMPTS:
            result = LineResult(number=line.number, succeeded=False, output=failed_line(line.custom_id, *FATAL))
        else:
            result = await answer_line(self.place.endpoints[self.batch.endpoint], self.batch.owner, line)
        await self._store(result)
        self._taken.discard(line.number)
        self.place.count_line("completed" if result.succeeded else "failed")

    async def _store(self, result: LineResult) -> None:
        """Again and again while the database is away. Raises LeaseLost."""
        while True:
            try:
                await in_thread_to_its_end(self.place.archive.finish_line, self.batch.id, self.place.worker, result)
                return
            except ApiError as error:
                LOG.warning("a line of %s was not written; retrying: %s", self.batch.id, error.message)
            await asyncio.sleep(RETRY_SECONDS)

    # the lease

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> BatchEnd:
        """How it ended: by itself, by a cancellation, or since its time was over."""
        working, watching = asyncio.create_task(work), asyncio.create_task(self._watch())
        try:
            await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                return watching.result()
            if (error := working.exception()) is not None:
                raise _first(error)
            return "completed"
        finally:
            await _end_tasks(working, watching)

    async def _beside_renewals(self, work: Coroutine[Any, Any, None]) -> None:
        renewing = asyncio.create_task(self._renew_forever())
        try:
            await work
        finally:
            await _end_tasks(renewing)

    async def _watch(self) -> BatchEnd:
        """Returns when the batch has to stop. Raises LeaseLost."""
        while True:
            if await self._renew() == "cancelling":
                return "cancelled"
            left = self.batch.expires_at - self.place.clock()
            if left <= 0:
                return "expired"
            with suppress(TimeoutError):
                async with asyncio.timeout(min(RENEWAL_SECONDS, left)):  # wait_for would lose a cancellation that comes with the event
                    await self.nudged.wait()
            self.nudged.clear()

    async def _renew_forever(self) -> None:
        with suppress(LeaseLost):  # whoever writes next is told
            while True:
                await asyncio.sleep(RENEWAL_SECONDS)
                await self._renew()

    async def _renew(self) -> str:
        """The batch's status. A lease outlasts some failed renewals."""
        try:
            return await in_thread_to_its_end(self.place.archive.renew_batch, self.batch.id, self.place.worker, LEASE_SECONDS)
        except ApiError as error:
            LOG.warning("the lease of %s was not renewed; retrying: %s", self.batch.id, error.message)
            return self.batch.status

    async def _release(self) -> None:
        """What fails here, the end of the lease mends."""
        release = in_thread_to_its_end(self.place.archive.release_batch, self.batch.id, self.place.worker, sorted(self._taken))
        with suppress(LeaseLost, ApiError):
            await release


def _first(error: BaseException) -> BaseException:
    """Of a task group's errors."""
    if not isinstance(error, ExceptionGroup):
        return error
    errors = cast("ExceptionGroup[Exception]", error)
    return _first(errors.exceptions[0])


async def _end_tasks(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await wait_through(*tasks)
