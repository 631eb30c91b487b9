"""Works on batches while the server runs: on one of each owner at a time, with few lines at once, and in idle time."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from retrieval.store.api import Store
from server.api.batches.job import LEASE_SECONDS, BatchJob, Workplace
from server.api.batches.validation import BatchLimits
from server.archive.api import Archive
from server.archive.batches.records import BatchRecord
from server.core.errors import ApiError
from server.core.threads import in_thread_to_its_end
from server.http.endpoint import Endpoint
from server.runtime.runtime import Runtime
from server.runtime.settings import Settings
from server.runtime.state import ServerState

LOG = logging.getLogger("stoa")
POLL_SECONDS = 2.0  # for batches that other processes have taken or left
CPU_SEQUENCES, GPU_SEQUENCES = 4, 32  # at once, unless the operator says


class BatchWorker:
    """Used from the event loop's thread. `endpoints` serve in idle time."""

    def __init__(self, state: ServerState, endpoints: Sequence[Endpoint]) -> None:
        self._state, self._endpoints = state, {endpoint.path: endpoint for endpoint in endpoints if endpoint.method == "POST"}
        self._jobs: dict[asyncio.Task[None], BatchJob] = {}
        self._wake = asyncio.Event()

    def nudge(self, batch_id: str | None = None) -> None:
        """There is a new batch, or this one was changed."""
        for job in self._jobs.values():
            if job.batch.id == batch_id:
                job.nudged.set()
        self._wake.set()

    async def run(self, runtime: Runtime) -> None:
        """Until cancelled; batches then go back, as far as they are."""
        if runtime.archive is None or runtime.database is None:
            return
        place = self._workplace(runtime.archive, runtime.database)
        try:
            while True:
                if not await self._begin_next(place):
                    await self._pause()
        finally:
            for task in self._jobs:
                task.cancel()
            await asyncio.gather(*self._jobs, return_exceptions=True)

    def _workplace(self, archive: Archive, store: Store) -> Workplace:
        settings = self._state.settings
        return Workplace(
            archive=archive,
            store=store,
            endpoints=self._endpoints,
            limits=batch_limits(settings),
            slots=asyncio.Semaphore(settings.batch_sequences or (CPU_SEQUENCES if settings.device == "cpu" else GPU_SEQUENCES)),
            quiet=self._state.quiet,
            count_line=self._state.metrics.batch_line,
            worker=self._state.name,
        )

    async def _begin_next(self, place: Workplace) -> bool:
        """Whether there was something to do. What needs no model is done before the next is looked for."""
        busy = {job.batch.owner for job in self._jobs.values()}
        try:
            batch = await in_thread_to_its_end(place.archive.claim_batch, place.worker, LEASE_SECONDS, busy)
        except ApiError:
            return False  # the database is away, as its monitor tells
        except Exception:
            LOG.exception("no batch could be taken")
            return False
        if batch is None:
            return False
        task = self._start(batch, place)
        if batch.status != "in_progress":
            await asyncio.wait((task,))
        return True

    def _start(self, batch: BatchRecord, place: Workplace) -> asyncio.Task[None]:
        job = BatchJob(batch, place)
        task = asyncio.create_task(job.run(), name=batch.id)
        self._jobs[task] = job
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._jobs[task]
        self._wake.set()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):  # wait_for would lose a cancellation that comes with the event
                await self._wake.wait()
        self._wake.clear()


def batch_limits(settings: Settings) -> BatchLimits:
    return BatchLimits(lines=settings.batch_max_lines, bytes=settings.batch_max_bytes, line_bytes=settings.max_body_bytes)
