"""Responses that nobody has to wait for. What happens is written down as it happens, so that whoever comes back reads on where
he stopped, in any process; the end of a response is its own object, not an event. A process that works on one holds a lease: when
it has died, the next one that is asked for any response says so."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager, aclosing, suppress
from dataclasses import dataclass, field
from uuid import uuid4

from server.api.responses.context import UNFINISHED
from server.api.responses.response import failure, shown_event
from server.api.responses.run import ENDINGS, Work, ending, framed, numbered
from server.api.responses.stored.event_log import LEASE, Log, insisting
from server.archive.api import Archive, StoredResponse
from server.core.errors import ApiError
from server.core.messages import Json
from server.core.threads import in_thread
from server.core.timing import TimingObserver
from server.runtime.runtime import expect_archive

LOG = logging.getLogger("stoa")
RENEW = 5.0  # seconds
LOOK = 0.25  # seconds until a reader looks again, whatever it has been told
LOST = ApiError(500, "the server that worked on this response has died", code="process_died")
BROKEN = ApiError(500, "something went wrong in the server; its log says what", code="internal_error")


@dataclass(slots=True)
class Background:
    """Of one process."""

    hold: Callable[[], AbstractContextManager[None]]  # while work is under way: the server waits for it when it ends
    watch: TimingObserver
    worker: str = field(default_factory=lambda: uuid4().hex)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, "asyncio.Task[None]"])
    _news: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])
    _cancelled: set[str] = field(default_factory=set[str])  # whose callers want what has been made, and no more

    async def start(self, work: Work) -> Json:
        """Its Response, queued and stored. Raises ApiError."""
        archive, draft = expect_archive(work.plan.runtime), work.draft
        body = draft.object("queued")
        await in_thread(archive.put_response, draft.record(body))
        self._news[draft.id] = asyncio.Event()
        task = self._tasks[draft.id] = asyncio.create_task(self._run(work, archive), name=draft.id)
        task.add_done_callback(self._forget)
        return body

    def stop(self, response_id: str) -> None:
        """Its work, where it is done in this process; another one notices by its lease."""
        if (task := self._tasks.get(response_id)) is not None:
            task.cancel()

    async def cancel(self, response_id: str) -> None:
        """Its work, where it is done in this process: when this returns it is stored with what it has come to. Whoever comes second
        waits with the first."""
        if (task := self._tasks.get(response_id)) is None:
            return
        if response_id not in self._cancelled:
            self._cancelled.add(response_id)
            task.cancel()
        await asyncio.wait((task,))

    async def follow(self, archive: Archive, owner: str, response_id: str, after: int, include: Sequence[str]) -> AsyncGenerator[bytes]:
        """Its events behind number `after`, as they are written down, to its end. Raises ApiError."""
        while True:
            news, task = self._news.get(response_id), self._tasks.get(response_id)
            if news is not None:
                news.clear()
            await self.bury(archive)
            response = await in_thread(archive.response, owner, response_id)  # first: what it did before its end is then written down
            for number, text in await in_thread(archive.events, owner, response_id, after):
                yield framed(text)
                after = number
            if response.status in UNFINISHED:
                await _either(news)
            elif task is None or task.done():
                break
            else:
                await asyncio.wait((task,))  # it has been cancelled, and still writes down what it did
        if await self._unread(archive, response, after):
            yield framed(numbered(after + 1, shown_event(ending(response.body), include)))

    async def bury(self, archive: Archive) -> None:
        """Those whose process has died become failed."""
        for left in await in_thread(archive.abandoned, self.worker):
            body = {**left.body, "status": "failed", "error": failure(LOST)}
            await in_thread(archive.finish_response, left.owner, left.id, "failed", body)

    async def _unread(self, archive: Archive, response: StoredResponse, after: int) -> bool:
        """Whether its end is still to be told: `after` is an event, and no number behind them all."""
        return after < 0 or bool(await in_thread(archive.events, response.owner, response.id, after - 1))

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task.get_name()]
        self._cancelled.discard(task.get_name())
        self._news.pop(task.get_name()).set()
        if not task.cancelled() and (error := task.exception()) is not None:
            LOG.error("%s in the background cannot go on", task.get_name(), exc_info=error)

    async def _run(self, work: Work, archive: Archive) -> None:
        """Nobody waits for this task: whatever goes wrong becomes the response's end, or is left to the lease."""
        id = work.draft.id
        log = Log(archive, id, self._news[id])
        for kind in ("created", "queued"):  # also of one that is cancelled before anything is done for it
            log.add({"type": f"response.{kind}", "response": work.draft.object("queued")})
        with self.hold():
            beside = list[asyncio.Task[None]]()
            try:
                if await insisting(lambda: in_thread(archive.lease, id, self.worker, LEASE)):
                    beside += [asyncio.create_task(self._hold(archive, id)), asyncio.create_task(log.write())]
                    await self._work(work, archive, log)
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
                await log.try_flush()

    async def _work(self, work: Work, archive: Archive, log: Log) -> None:
        draft = work.draft
        body = draft.object("in_progress")
        if not await insisting(lambda: in_thread(archive.finish_response, draft.owner, draft.id, "in_progress", body)):
            return
        log.add({"type": "response.in_progress", "response": body})
        try:
            async with aclosing(work.events(self.watch)) as events:
                async for event in events:
                    if event["type"] in ENDINGS:
                        body = event["response"]
                    else:
                        log.add(event)
        except asyncio.CancelledError:
            if draft.id in self._cancelled:
                await self._break_off(work, archive, log)
            raise
        except Exception as error:
            body = _failed(work, log, error)
        await log.try_flush()
        await _finish(work, archive, body)

    async def _break_off(self, work: Work, archive: Archive, log: Log) -> None:
        """What has been made is kept, but is not part of the conversation."""
        log.add_all(shown_event(event, work.include) for event in work.record.cut())
        await log.try_flush()
        body = work.draft.object("cancelled", work.record.output)
        await in_thread(archive.finish_response, work.draft.owner, work.draft.id, "cancelled", body)

    async def _hold(self, archive: Archive, response_id: str) -> None:
        """Until somebody else has cancelled or deleted it. A lease outlasts some renewals that fail."""
        while True:
            await asyncio.sleep(RENEW)
            try:
                mine = await in_thread(archive.lease, response_id, self.worker, LEASE)
            except Exception:
                LOG.warning("the lease of %s was not renewed; trying again", response_id, exc_info=True)
                continue
            if not mine:
                self.stop(response_id)
                return


def _failed(work: Work, log: Log, error: Exception) -> Json:
    """The response that ends so; what was being made of it ends as it is."""
    log.add_all(shown_event(event, work.include) for event in work.record.cut())
    if not isinstance(error, ApiError):
        LOG.error("%s in the background", work.draft.id, exc_info=error)
    return work.draft.failed(work.record.output, error if isinstance(error, ApiError) else BROKEN)


async def _finish(work: Work, archive: Archive, body: Json) -> None:
    draft = work.draft
    await insisting(lambda: in_thread(archive.finish_response, draft.owner, draft.id, body["status"], body, work.spoken(body)))


async def _either(news: asyncio.Event | None) -> None:
    if news is None:
        await asyncio.sleep(LOOK)
        return
    with suppress(TimeoutError):
        await asyncio.wait_for(news.wait(), LOOK)
