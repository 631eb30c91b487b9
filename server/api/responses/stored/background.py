"""Runs background responses. Their events are stored as they come, so that any process can stream them from any number on; the final
event is not stored, but made of the stored response. A process holds a lease on each response that it runs; what becomes of those
whose process has died: abandoned.py."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager, aclosing, suppress
from dataclasses import dataclass, field

from server.api.responses.events.sse import FINISHED_TYPES, event_json, final_event, sse_frame
from server.api.responses.include import filter_event
from server.api.responses.resolved_input import UNFINISHED
from server.api.responses.run import ResponseRun
from server.api.responses.stored.abandoned import fail_abandoned
from server.api.responses.stored.event_log import LEASE_SECONDS, EventLog, retry_write
from server.archive.api import Archive, StoredResponse
from server.core.errors import ApiError
from server.core.messages import Json
from server.core.threads import in_thread
from server.core.timing import TimingObserver
from server.runtime.runtime import expect_archive

LOG = logging.getLogger("stoa")
LEASE_RENEWAL_SECONDS = 5.0
POLL_SECONDS = 0.25  # how often a stream looks for new events of another process, or of this one if it was not notified
INTERNAL_ERROR = ApiError(500, "something went wrong in the server; its log says what", code="internal_error")


@dataclass(slots=True)
class BackgroundRunner:
    """The background responses of this process."""

    count_request: Callable[[], AbstractContextManager[None]]  # entered while a response runs: the server waits for it when it stops
    observer: TimingObserver
    worker_id: str  # in leases
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])  # by response id
    _updated: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])  # by response id; set after events were written
    _cancelled: set[str] = field(default_factory=set[str])  # ids of responses that are stored as cancelled when their task ends

    async def start(self, run: ResponseRun) -> Json:
        """Stores the queued response, starts its task and returns the Response object. Raises ApiError."""
        archive, builder = expect_archive(run.plan.runtime), run.builder
        body = builder.build("queued")
        await in_thread(archive.put_response, builder.to_stored(body), worker=self.worker_id)
        self._updated[builder.id] = asyncio.Event()
        task = self._tasks[builder.id] = asyncio.create_task(self._run(run, archive), name=builder.id)
        task.add_done_callback(self._task_done)
        return body

    def stop(self, response_id: str) -> None:
        """Cancels its task, if this process runs it; another process notices when it writes events or renews its lease."""
        if (task := self._tasks.get(response_id)) is not None:
            task.cancel()

    async def cancel(self, response_id: str) -> None:
        """Cancels its task, if this process runs it, and waits until the response is stored with the output that it has. Concurrent
        callers wait together."""
        if (task := self._tasks.get(response_id)) is None:
            return
        if response_id not in self._cancelled:
            self._cancelled.add(response_id)
            task.cancel()
        await asyncio.wait((task,))

    async def stream_events(
        self, archive: Archive, owner: str, response_id: str, after: int, include: Sequence[str]
    ) -> AsyncGenerator[bytes]:
        """Its events with numbers above `after` as server-sent events, as they are stored, up to the final one. Raises ApiError."""
        while True:
            updated, task = self._updated.get(response_id), self._tasks.get(response_id)
            if updated is not None:
                updated.clear()
            await fail_abandoned(archive, self.worker_id)
            response = await in_thread(archive.response, owner, response_id)  # read before the events: if finished, all are stored
            for number, text in await in_thread(archive.events, owner, response_id, after):
                yield sse_frame(text)
                after = number
            if response.status in UNFINISHED:
                await _wait_for_update(updated)
            elif task is None or task.done():
                break
            else:
                await asyncio.wait((task,))  # cancelled: it still writes its last events
        if await self._final_event_unsent(archive, response, after):
            yield sse_frame(event_json(after + 1, filter_event(final_event(response.body), include)))

    async def _final_event_unsent(self, archive: Archive, response: StoredResponse, after: int) -> bool:
        """False if `after` is the final event's number, which is one above the last stored event's."""
        return after < 0 or bool(await in_thread(archive.events, response.owner, response.id, after - 1))

    def _task_done(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task.get_name()]
        self._cancelled.discard(task.get_name())
        self._updated.pop(task.get_name()).set()
        if not task.cancelled() and (error := task.exception()) is not None:
            LOG.error("background response %s was abandoned", task.get_name(), exc_info=error)

    async def _run(self, run: ResponseRun, archive: Archive) -> None:
        """Errors become the response's end; if that cannot be stored, the lease expires and another process marks it as failed."""
        response_id = run.builder.id
        log = EventLog(archive, response_id, self._updated[response_id], lambda: self.stop(response_id))
        for kind in ("created", "queued"):  # also for a response that is cancelled before it starts
            log.add({"type": f"response.{kind}", "response": run.builder.build("queued")})
        with self.count_request():
            helpers = list[asyncio.Task[None]]()
            try:
                if await retry_write(lambda: in_thread(archive.acquire_lease, response_id, self.worker_id, LEASE_SECONDS)):
                    helpers += [asyncio.create_task(self._renew_lease(archive, response_id)), asyncio.create_task(log.write_forever())]
                    await self._generate(run, archive, log)
            finally:
                for task in helpers:
                    task.cancel()
                await asyncio.gather(*helpers, return_exceptions=True)
                await log.try_flush()

    async def _generate(self, run: ResponseRun, archive: Archive, log: EventLog) -> None:
        builder = run.builder
        body = builder.build("in_progress")
        if not await retry_write(lambda: in_thread(archive.finish_response, builder.owner, builder.id, "in_progress", body)):
            return
        log.add({"type": "response.in_progress", "response": body})
        try:
            async with aclosing(run.events(self.observer)) as events:
                async for event in events:
                    if event["type"] in FINISHED_TYPES:
                        body = event["response"]
                    else:
                        log.add(event)
        except asyncio.CancelledError:
            if builder.id in self._cancelled:
                await self._store_cancelled(run, archive, log)
            raise
        except Exception as error:
            body = _build_failed(run, log, error)
        await log.try_flush()
        await _store_finished(run, archive, body)

    async def _store_cancelled(self, run: ResponseRun, archive: Archive, log: EventLog) -> None:
        """Stores the output so far, but does not add it to the conversation."""
        _log_interrupted(run, log)
        await log.try_flush()
        body = run.builder.build("cancelled", run.items.output)
        await in_thread(archive.finish_response, run.builder.owner, run.builder.id, "cancelled", body)

    async def _renew_lease(self, archive: Archive, response_id: str) -> None:
        """Stops the response's task when the lease is gone, as after a cancellation or deletion by another process. A lease outlasts
        some failed renewals."""
        while True:
            await asyncio.sleep(LEASE_RENEWAL_SECONDS)
            try:
                renewed = await in_thread(archive.acquire_lease, response_id, self.worker_id, LEASE_SECONDS)
            except Exception:
                LOG.warning("the lease of %s was not renewed; retrying", response_id, exc_info=True)
                continue
            if not renewed:
                self.stop(response_id)
                return


def _log_interrupted(run: ResponseRun, log: EventLog) -> None:
    log.add_all(filter_event(event, run.include) for event in run.items.interrupt())


def _build_failed(run: ResponseRun, log: EventLog, error: Exception) -> Json:
    """The failed Response object, with the output so far."""
    _log_interrupted(run, log)
    if not isinstance(error, ApiError):
        LOG.error("background response %s has failed", run.builder.id, exc_info=error)
    return run.builder.build_failed(run.items.output, error if isinstance(error, ApiError) else INTERNAL_ERROR)


async def _store_finished(run: ResponseRun, archive: Archive, body: Json) -> None:
    builder, items = run.builder, run.conversation_items(body)
    await retry_write(lambda: in_thread(archive.finish_response, builder.owner, builder.id, body["status"], body, items))


async def _wait_for_update(updated: asyncio.Event | None) -> None:
    """At most POLL_SECONDS."""
    if updated is None:
        await asyncio.sleep(POLL_SECONDS)
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(POLL_SECONDS):  # wait_for would lose a cancellation that comes with the event
            await updated.wait()
