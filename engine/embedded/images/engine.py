"""The embedded engine of pictures: requests and aborts are messages to the thread that owns the model; each of its steps takes all pictures
that there is room for one step further, whichever step each of them is at."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from threading import Lock

import numpy as np

from engine.api import (
    EngineError,
    Guidance,
    ImageInfo,
    ImageProgress,
    ImageRequest,
    ImageStats,
    Label,
    PromptTokens,
    QueueFull,
    ReadsLabels,
    ReadsPrompts,
    ReadsText,
    StartPicture,
)
from engine.embedded.images.load import LoadedImageModel
from engine.embedded.images.painter import Canvas, Painter, plan_of
from engine.embedded.load import inference_thread
from engine.embedded.threads.worker_thread import WorkerThread, stopped_error


class _Job:
    """A request, and the loop that waits for what becomes of it. `canvas` is the thread's."""

    def __init__(self, request: ImageRequest) -> None:
        self.request = request
        self.canvas: Canvas | None = None
        self._loop, self._arrived = asyncio.get_running_loop(), asyncio.Queue[ImageProgress | Exception]()

    async def next(self) -> ImageProgress:
        item = await self._arrived.get()
        if isinstance(item, Exception):
            raise item
        return item

    def tell(self, item: ImageProgress | Exception) -> None:
        """From any thread. A loop that is closed wants nothing any more."""
        try:
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, item)
        except RuntimeError:
            if not self._loop.is_closed():
                raise


class EmbeddedImageEngine:
    """Implements engine.api.ImageEngine. Starts its thread at once; `close` ends it."""

    def __init__(self, loaded: LoadedImageModel) -> None:
        self.info = loaded.info
        self._loaded, self._painter = loaded, Painter(loaded)
        self._lock, self._open = Lock(), 0  # requests
        self._finished = self._aborts = self._steps = 0  # guarded by the lock, too
        self._jobs = deque[_Job]()  # the thread's, in the order in which they take turns
        context = inference_thread(loaded.threads, loaded.device)
        self._thread = WorkerThread("image engine", context=context, idle=self._idle, step=self._step, on_stop=self._stop)

    @property
    def alive(self) -> bool:
        return self._thread.alive

    async def generate(self, request: ImageRequest) -> AsyncGenerator[ImageProgress]:
        expect_possible(request, self._loaded)
        job = _Job(request)
        self._submit(job)
        finished = False
        try:
            while not finished:
                progress = await job.next()
                finished = progress.finished
                yield progress
        finally:
            with self._lock:
                self._open -= 1
                self._finished += finished
                self._aborts += not finished
            if not finished:
                self._thread.notify(partial(self._forget, job))

    def stats(self) -> ImageStats:
        with self._lock:
            running = min(self._open, self._loaded.limits.max_running)
            return ImageStats(
                waiting=self._open - running, running=running, finished=self._finished, aborts=self._aborts, steps=self._steps
            )

    async def close(self) -> None:
        """Whoever still waits gets EngineStopped."""
        await self._thread.close()

    def _submit(self, job: _Job) -> None:
        limits = self._loaded.limits
        with self._lock:
            self._thread.expect_alive()
            if self._open >= limits.max_running + limits.max_waiting:
                raise QueueFull(f"{self._open} pictures are being made or waited for, and no more are taken")
            self._thread.submit(partial(self._jobs.append, job))
            self._open += 1

    # from here on: the engine's thread

    def _idle(self) -> bool:
        return not self._jobs

    def _step(self) -> None:
        """The first, and those behind it that are as large; then they stand behind those that waited."""
        size_of, most = self._loaded.info.size_of, self._loaded.limits.max_running
        turn = [job for job in self._jobs if size_of(job.request) == size_of(self._jobs[0].request)][:most]
        self._jobs = deque([*(job for job in self._jobs if job not in turn), *turn])
        canvases = [self._canvas(job) for job in turn]
        self._painter.step(canvases)
        with self._lock:
            self._steps += len(canvases)
        for job, canvas in zip(turn, canvases, strict=True):
            if canvas.finished:
                self._forget(job)
            job.tell(self._progress(canvas))

    def _canvas(self, job: _Job) -> Canvas:
        job.canvas = job.canvas or self._painter.begin(job.request)
        return job.canvas

    def _progress(self, canvas: Canvas) -> ImageProgress:
        seen = canvas.finished or canvas.done in canvas.request.previews
        pixels = self._painter.pixels(canvas) if seen else None
        return ImageProgress(step=canvas.done, steps=len(canvas.plan.steps), pixels=pixels)

    def _forget(self, job: _Job) -> None:
        """Aborted or finished; it may be neither any more."""
        if job in self._jobs:
            self._jobs.remove(job)

    def _stop(self, cause: BaseException | None) -> None:
        for job in self._jobs:
            job.tell(stopped_error(cause))


def expect_possible(request: ImageRequest, loaded: LoadedImageModel) -> None:
    """What would hurt others must not reach the thread. Raises EngineError."""
    info, start = loaded.info, request.start
    _expect_readable(request, info.reads)
    _expect_guidance(request, info.guidance)
    if not 0 <= request.seed < 2**63:
        raise EngineError(f"seed must be between 0 and 2 ** 63 - 1, not {request.seed}")
    _expect_size(request.size, info)
    if start is None and info.fills:
        raise EngineError("start: this model fills in what is missing of a picture, and needs one")
    if start is not None:
        _expect_start(start, info.size_of(request), info.channels)
    try:
        plan_of(loaded, request)
    except ValueError as error:
        raise EngineError(str(error)) from error


def _expect_size(size: tuple[int, int] | None, info: ImageInfo) -> None:
    if size is None or size == (info.width, info.height):
        return
    if info.others is None or not info.others.fit(*size):
        raise EngineError(f"size: {size[0]} x {size[1]} is none that this model makes: {info}")


def _expect_start(start: StartPicture, size: tuple[int, int], channels: int) -> None:
    shape = (size[1], size[0], channels)
    if start.pixels.shape != shape or start.pixels.dtype != np.uint8:
        raise EngineError(f"start must be uint8 {list(shape)}, not {start.pixels.dtype} {list(start.pixels.shape)}")
    if start.mask is not None and (start.mask.shape != shape[:2] or start.mask.dtype != np.bool_):
        raise EngineError(f"mask must be bool {list(shape[:2])}, not {start.mask.dtype} {list(start.mask.shape)}")


def _expect_readable(request: ImageRequest, reads: ReadsLabels | ReadsPrompts) -> None:
    match reads, request.prompt:
        case ReadsLabels(count=count), Label(number=number) if not 0 <= number < count:
            raise EngineError(f"prompt: a label must be between 0 and {count - 1}, not {number}")
        case ReadsLabels(), Label() | None:
            pass
        case ReadsPrompts(texts=texts, nothing=nothing), PromptTokens(tokens=tokens, negative=negative):
            _expect_tokens("tokens", tokens, texts)
            if negative is not None:
                _expect_tokens("negative", negative, texts)
            elif request.guidance != 1 and not nothing:
                raise EngineError("prompt: negative is missing, which guidance leads away from")
        case ReadsLabels(), _:
            raise EngineError("prompt: this model is told labels, not texts")
        case ReadsPrompts(), _:
            raise EngineError("prompt: this model is told texts, and needs one")


def _expect_tokens(name: str, tokens: Sequence[Sequence[int]], texts: Sequence[ReadsText]) -> None:
    if len(tokens) != len(texts):
        raise EngineError(f"prompt: {name} must be of {len(texts)} text encoders, not of {len(tokens)}")
    for read, found in zip(texts, tokens, strict=True):
        if not 0 < len(found) <= read.context or (read.filled and len(found) != read.context):
            raise EngineError(f"prompt: {name} must be {read.context}{'' if read.filled else ' at most'}, not {len(found)}")
        if bad := [token for token in (min(found), max(found)) if not 0 <= token < read.vocab]:
            raise EngineError(f"prompt: token {bad[0]} is not in the vocabulary (0 to {read.vocab - 1})")


def _expect_guidance(request: ImageRequest, guidance: Guidance) -> None:
    told = request.told_guidance
    if not np.isfinite(request.guidance):
        raise EngineError(f"guidance must be a finite number, not {request.guidance}")
    if (told is not None) != (guidance == "told"):
        raise EngineError(f"told_guidance: this model is {'' if guidance == 'told' else 'not '}told how far it is guided")
    if told is not None and not np.isfinite(told):
        raise EngineError(f"told_guidance must be a finite number, not {told}")
