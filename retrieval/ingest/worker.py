"""The ingestion worker: claims queued files from the store, processes them and stores the results.

The queue is kept in the database; a worker holds only leases. If it is killed, its leases expire and other workers claim the
jobs.
"""

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass

from engine.api import EngineStopped
from retrieval.api import Chunking, DatabaseFault, Embedder, KnowledgeError, Parser, PictureModel, Unreadable
from retrieval.ingest.pipeline import IngestPipeline, JobProgress
from retrieval.records import IngestedFile, Job
from retrieval.store.api import Store
from retrieval.threads import in_thread

REPORT_INTERVAL = 0.5  # seconds between checks of a job's progress
DRAIN_INTERVAL = 0.1  # seconds between checks whether a store is done
MAX_PAUSE = 30.0  # seconds, at most, that the worker pauses while the database cannot do what it asks for
MAX_PAUSE_UNREACHABLE = 4.0  # the same where it costs nothing to ask again

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """`jobs`: files processed concurrently, so that one is parsed while chunks of others are embedded."""

    jobs: int = 4
    lease: float = 15.0  # seconds; how long the files of a killed worker wait
    poll: float = 1.0  # seconds between checks for files queued by other processes


@dataclass(frozen=True, kw_only=True)
class IngestStats:
    """Totals since the worker was created; `active`: file name and progress of current jobs."""

    ready: int = 0
    failed: int = 0
    chunks: int = 0
    active: tuple[tuple[str, JobProgress], ...] = ()


class Ingestor:
    def __init__(
        self,
        store: Store,
        parser: Parser,
        embedder: Embedder,
        chunking: Chunking | None = None,
        options: WorkerOptions | None = None,
        pictures: PictureModel | None = None,
    ) -> None:
        self._store, self._options = store, options or WorkerOptions()
        self._identity = embedder.identity
        self._pipeline = IngestPipeline(parser, embedder, chunking or Chunking(), pictures)
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._ready = self._failed = self._chunks = 0
        self._active: dict[Job, JobProgress] = {}
        self._failures = 0  # of the database, one after another
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    @property
    def stats(self) -> IngestStats:
        active = tuple((job.filename, progress) for job, progress in self._active.copy().items())
        return IngestStats(ready=self._ready, failed=self._failed, chunks=self._chunks, active=active)

    def wake(self) -> None:
        """Makes `run` check the queue now. Thread-safe."""
        if running := self._running:
            loop, wakeup = running
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(wakeup.set)

    async def run(self) -> None:
        """Processes jobs until cancelled, then returns unfinished ones to the queue. Raises EngineStopped if the encoder has died, and
        nothing else: whatever goes wrong with the database or with one file, the next is tried."""
        wakeup, free = asyncio.Event(), asyncio.Semaphore(self._options.jobs)
        self._running = asyncio.get_running_loop(), wakeup
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await free.acquire()
                    job = await self._next_job(wakeup)
                    group.create_task(self._run_job(job)).add_done_callback(lambda _: free.release())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            self._running = None

    async def drain(self, store_id: str, owner: str = "") -> None:
        """Returns once no file of the store is queued or in progress in any process. Processes jobs itself unless `run` is active.
        Raises NotFound, and what `run` raises."""
        work: asyncio.Task[None] | None = None
        try:
            while (await in_thread(self._store.store, owner, store_id)).counts.in_progress:
                if work is None and self._running is None:  # also if the task in `run` has died
                    work = asyncio.create_task(self.run())
                await asyncio.wait({work}, timeout=DRAIN_INTERVAL) if work else await asyncio.sleep(DRAIN_INTERVAL)
                if work and work.done():
                    work.result()
        finally:
            if work:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)

    async def _next_job(self, wakeup: asyncio.Event) -> Job:
        while True:
            wakeup.clear()
            try:
                job = await self._claim()
                self._failures = 0
                if job:
                    return job
            except DatabaseFault as fault:
                await self._pause("no file is claimed", fault)
            except Exception:
                _log.exception("no file could be claimed")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.poll):  # wait_for would lose a cancellation that comes with the event
                    await wakeup.wait()

    async def _claim(self) -> Job | None:
        """If cancelled during the claim, releases the job it yields."""
        claim = asyncio.ensure_future(asyncio.to_thread(self._store.claim, self.name, self._options.lease))
        try:
            return await asyncio.shield(claim)
        except asyncio.CancelledError:
            await asyncio.wait({claim})
            if claim.exception() is None and (job := claim.result()):
                await self._release(job)
            raise

    async def _run_job(self, job: Job) -> None:
        progress = self._active[job] = JobProgress()
        work = asyncio.create_task(self._work(job, progress))
        try:
            await self._monitor(job, progress, work)
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait({work})
            await self._release(job)
            raise
        except EngineStopped:
            raise
        except Exception:
            _log.exception("%s: its state could not be stored", job.filename)
        finally:
            del self._active[job]

    async def _monitor(self, job: Job, progress: JobProgress, work: asyncio.Task[None]) -> None:
        """Reports progress, which extends the lease, until the work is done or the lease is lost."""
        reported, at = ("parsing", 0.0), time.monotonic()
        while not (await asyncio.wait({work}, timeout=REPORT_INTERVAL))[0]:
            now = (progress.state, progress.progress)
            if now == reported and time.monotonic() - at < self._options.lease / 3:
                continue
            reported, at = now, time.monotonic()
            if not await self._report(job, progress):
                work.cancel()
        if not work.cancelled():
            work.result()

    async def _report(self, job: Job, progress: JobProgress) -> bool:
        try:
            return await in_thread(self._store.report, job, progress.state, progress.progress, self._options.lease)
        except DatabaseFault:
            return True

    async def _work(self, job: Job, progress: JobProgress) -> None:
        """Errors of one file do not affect others; only EngineStopped, which stops all, is raised."""
        try:
            await self._process(job, progress)
        except DatabaseFault as fault:
            await self._pause(f"{job.filename} will be tried again", fault)
            if fault.kind != "damaged":  # else the attempt counts, and the last one ends as failed
                await self._release_when_possible(job)
        except EngineStopped:
            await self._release(job)
            raise

    async def _process(self, job: Job, progress: JobProgress) -> None:
        try:
            await self._store_outcome(job, progress)
        except Unreadable as error:
            await self._fail(job, error.code, str(error))
        except (DatabaseFault, EngineStopped):
            raise
        except KnowledgeError as error:  # WrongModel, or NotFound if the file was deleted
            await self._fail(job, "server_error", str(error))
        except Exception:
            _log.exception("%s: cannot be ingested", job.filename)
            await self._fail(job, "server_error", "something unexpected went wrong with this file; the server's log says what")

    async def _store_outcome(self, job: Job, progress: JobProgress) -> None:
        await in_thread(self._store.expect, job.store_id, self._identity)
        async with aclosing(self._content(job)) as content:
            outcome = await self._pipeline.run(job, content, progress)
        await in_thread(self._complete, job, outcome)

    def _complete(self, job: Job, outcome: IngestedFile) -> None:
        if self._store.complete(job, outcome):  # counted here, since this thread finishes even if the awaiting task is cancelled
            self._ready += 1
            self._chunks += len(outcome.chunks)

    async def _content(self, job: Job) -> AsyncGenerator[bytes]:
        parts = await in_thread(self._store.read_file, job.owner, job.file_id)
        while (part := await in_thread(next, parts, None)) is not None:
            yield part

    async def _fail(self, job: Job, code: str, reason: str) -> None:
        if await in_thread(self._store.fail, job, code, reason):
            self._failed += 1

    async def _release(self, job: Job) -> None:
        try:
            await in_thread(self._store.release, job)
        except DatabaseFault as fault:
            _log.warning("%s waits until its lease has run out: %s (%s)", job.filename, fault, fault.detail)

    async def _release_when_possible(self, job: Job) -> None:
        """So that the attempt is not counted: the file is not to blame. After the lease has run out this does nothing."""
        while True:
            try:
                return await in_thread(self._store.release, job)
            except DatabaseFault as fault:
                await self._pause(f"{job.filename} waits", fault)

    async def _pause(self, consequence: str, fault: DatabaseFault) -> None:
        """Longer from failure to failure: while the disk is full, each attempt would cost as much as the first. Every tenth is logged."""
        if self._failures % 10 == 0:
            _log.warning("%s: %s (%s)", consequence, fault, fault.detail)
        self._failures += 1
        longest = MAX_PAUSE_UNREACHABLE if fault.kind in ("unreachable", "busy") else MAX_PAUSE
        await asyncio.sleep(min(longest, self._options.poll * 1.5 ** min(self._failures, 20)))
