"""The embedded encoder: its worker thread takes sentences, and images, from all calls that wait, computes a step of them,
and hands the rows back."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from engine.api import EngineError, Pixels, PromptTooLong, QueueFull, Sentence, Unsupported
from engine.embedded.encoder.load import LoadedEncoder
from engine.embedded.encoder.steps import StepRunner
from engine.embedded.load import inference_thread
from engine.embedded.threads.worker_thread import WorkerThread, stopped_error

Rows = NDArray[np.float32]


@dataclass(eq=False)
class _Call:
    """`begun` and `rows` are the thread's, `future` its loop's."""

    inputs: Sequence[Sentence | Pixels]
    rows: Rows
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Rows]
    cancelled: bool = False
    begun: int = 0


@dataclass
class _RoundRobin:
    """Whose turn it is: every call in line gives one sentence after another to a step, so that a question waits for one
    step however many passages came before it."""

    size: Callable[[Sentence | Pixels], int]  # rows of one
    calls: deque[_Call] = field(default_factory=deque[_Call])

    def take(self, most_rows: int, most: int) -> list[tuple[_Call, int]]:
        """The next step: at least one sentence where somebody waits, and then as many as fit."""
        step: list[tuple[_Call, int]] = []
        room = most_rows
        while self.calls and len(step) < most:
            call = self.calls.popleft()
            if call.cancelled:
                continue
            room -= self.size(call.inputs[call.begun])
            if step and room < 0:
                self.calls.appendleft(call)
                break
            step.append((call, call.begun))
            call.begun += 1
            if call.begun < len(call.inputs):
                self.calls.append(call)
        return step


class EmbeddedEncoder:
    """Implements engine.api.Encoder. Starts its thread at once; `close` ends it."""

    def __init__(self, loaded: LoadedEncoder) -> None:
        self.info = loaded.info
        self._loaded, self._step_runner = loaded, StepRunner(loaded)
        self._queue, self._open = _RoundRobin(self._rows_of), dict.fromkeys(list[_Call]())
        self._lock, self._waiting = Lock(), 0  # sentences
        context = inference_thread(loaded.threads, loaded.device)
        self._thread = WorkerThread("encoder", context=context, idle=self._idle, step=self._step, on_stop=self._stop_calls)

    @property
    def alive(self) -> bool:
        """False once the thread has died or is told to end; then every `embed` raises EngineStopped."""
        return self._thread.alive

    async def embed(self, batch: Sequence[Sentence | Pixels]) -> Rows:
        """See engine.api.Encoder. A batch is taken whole or not at all."""
        for one in batch:
            if isinstance(one, Pixels):
                self._check_image(one)
            else:
                self._check(one)
        loop = asyncio.get_running_loop()
        call = _Call(batch, np.empty((len(batch), self.info.width), np.float32), loop, loop.create_future())
        if not batch:
            return call.rows
        self._submit(call)
        try:
            return await call.future
        finally:
            call.cancelled = True  # matters only if it is not done

    async def close(self) -> None:
        """Whoever still waits gets EngineStopped."""
        await self._thread.close()

    def _rows_of(self, one: Sentence | Pixels) -> int:
        if isinstance(one, Sentence):
            return len(one.tokens) if self._loaded.filler is None else self.info.max_tokens
        return 0 if self.info.images is None else self.info.images.rows_of(one)

    def _check_image(self, image: Pixels) -> None:
        reads, shape = self.info.images, image.values.shape
        if reads is None:
            raise Unsupported("this model reads texts, and no images")
        if len(shape) != 3 or shape[0] != reads.channels or min(shape[1:]) < reads.patch or any(side % reads.patch for side in shape[1:]):
            raise Unsupported(
                f"an image must be [{reads.channels}, height, width] in whole patches of {reads.patch} pixels, not {list(shape)}"
            )
        if (rows := reads.rows_of(image)) > reads.rows:
            raise Unsupported(f"the image makes {rows} rows; this model reads {reads.rows}")

    def _check(self, sentence: Sentence) -> None:
        """What would hurt others must not reach the thread."""
        length, most, vocab = len(sentence.tokens), self.info.max_tokens, self.info.vocab
        if not most:
            raise Unsupported("this model reads images, and no texts")
        if not length:
            raise EngineError("there are no tokens to embed")
        if length > most:
            raise PromptTooLong(f"the text has {length} tokens; this model reads {most}")
        if bad := [token for token in (min(sentence.tokens), max(sentence.tokens)) if not 0 <= token < vocab]:
            raise EngineError(f"token {bad[0]} is not in the vocabulary (0 to {vocab - 1})")
        kinds, segments = max(1, self._loaded.segments), sentence.segments
        if segments and (len(segments) != length or min(segments) < 0 or max(segments) >= kinds):
            raise EngineError(f"segments must be as many as tokens ({length}), each between 0 and {kinds - 1}")

    def _submit(self, call: _Call) -> None:
        with self._lock:
            self._thread.expect_alive()
            if self._waiting and self._waiting + len(call.inputs) > self._loaded.limits.max_waiting:
                raise QueueFull(f"{self._waiting} texts are waiting to be embedded, and no more are taken")
            self._thread.submit(partial(self._start, call))
            self._waiting += len(call.inputs)

    # from here on: the encoder's thread

    def _idle(self) -> bool:
        return not self._queue.calls

    def _step(self) -> None:
        limits = self._loaded.limits
        step = self._queue.take(limits.max_step_tokens, limits.max_sentences)
        if step:
            rows = self._step_runner.run([call.inputs[i] for call, i in step])
            for (call, i), row in zip(step, rows, strict=True):
                call.rows[i] = row
        for call in [call for call in self._open if call.cancelled or call.begun == len(call.inputs)]:
            self._finish(call)

    def _start(self, call: _Call) -> None:
        self._open[call] = None
        self._queue.calls.append(call)

    def _finish(self, call: _Call) -> None:
        del self._open[call]
        with self._lock:
            self._waiting -= len(call.inputs)
        _deliver(call, call.rows)

    def _stop_calls(self, cause: BaseException | None) -> None:
        for call in self._open:
            _deliver(call, stopped_error(cause))


def _deliver(call: _Call, result: Rows | Exception) -> None:
    """A loop that is closed wants nothing any more."""
    try:
        call.loop.call_soon_threadsafe(_resolve, call.future, result)
    except RuntimeError:
        if not call.loop.is_closed():
            raise


def _resolve(future: asyncio.Future[Rows], result: Rows | Exception) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
