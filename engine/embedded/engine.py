"""The embedded engine: requests and aborts are messages to the worker thread that owns the device, deltas come back through
threads/delivery.py."""

import asyncio
import logging
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from collections.abc import Sequence as Several
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from itertools import count
from threading import Lock
from typing import TypeVar
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from engine.api import (
    MAX_INSPECTED,
    Delta,
    Frames,
    Grammar,
    Inspection,
    InvalidGrammar,
    ModelInfo,
    QueueFull,
    ReaderInfo,
    ReadsFrames,
    Request,
    Sampling,
    Stats,
    Unsupported,
    VisionInfo,
)
from engine.checks import expect_heads, expect_inspectable, expect_possible
from engine.embedded.beams import search
from engine.embedded.core import Core
from engine.embedded.denoise.core import DenoisingCore
from engine.embedded.denoise.runner import DenoisingRunner
from engine.embedded.load import LoadedModel, inference_thread
from engine.embedded.memory.memory import Memory, common_prefix, owner_salt
from engine.embedded.sampling.closing import Closer, Closers
from engine.embedded.sampling.grammar import GrammarCompiler, Matcher, reason
from engine.embedded.sampling.sampler import TokenSampler
from engine.embedded.sampling.thoughts import ThoughtLimit
from engine.embedded.sequence import Sequence
from engine.embedded.step.inputs import Inputs, largest_step
from engine.embedded.step.looks import Looks
from engine.embedded.step.runner import Runner
from engine.embedded.threads.delivery import Stream, deliver
from engine.embedded.threads.worker_thread import WorkerThread, stopped_error
from engine.embedded.vision.encoder import VisionEncoder
from engine.embedded.vision.places import Places, places, whole_spans
from models.crossing import LookedAt
from models.spec import rope_start

# seconds; a step takes a few milliseconds, so the engine's thread must not wait Python's usual 5 ms for its turn
SWITCH_INTERVAL = 0.0005

CORES_PER_COMPILER = 4  # threads that compile grammars: the other cores are for the model
REST = 30.0  # seconds, at most, between two looks at what nobody has used for long
MAX_UNFIT = 3  # answers in a row without a number: a single one may be due to its input

Found = TypeVar("Found")

_log = logging.getLogger(__name__)


class EmbeddedEngine:
    """Implements engine.api.Engine. Starts its thread at once; `close` ends it."""

    def __init__(self, loaded: LoadedModel, shared: Iterable[tuple[int, ...]] = ()) -> None:
        """`shared`: beginnings of prompts whose pages in the prefix cache are everybody's."""
        memory = Memory(loaded.pages, slots=loaded.slots)
        room = memory.capacity(loaded.limits.max_step_tokens)
        self.info = loaded.info if room is None else replace(loaded.info, context=min(loaded.info.context, room))
        if loaded.info.reader is not None and (most := memory.inputs.capacity) is not None:
            self.info = replace(self.info, reader=replace(loaded.info.reader, context=min(loaded.info.reader.context, most)))
        self._loaded, self._memory, self._limits, self._shared = loaded, memory, loaded.limits, tuple(shared)
        self._grammars = GrammarCompiler(loaded.tokenizer, loaded.info.vocab, loaded.end_tokens)
        compilers = max(1, (os.cpu_count() or 1) // CORES_PER_COMPILER)
        self._compiling = ThreadPoolExecutor(compilers, thread_name_prefix="grammar")
        self._compiling.submit(self._grammars.prepare)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # of owners, each of whom has one compiler at a time
        self._closers = Closers(self._grammars.tokenizer)
        self._vision_encoder = None if loaded.vision is None else VisionEncoder(loaded.vision, loaded.device)
        self._core = _core(loaded, memory, self.info.context, self._vision_encoder)
        self._streams: dict[Sequence, Stream] = {}  # the thread's
        self._lock, self._open, self._arrivals = Lock(), Counter[str](), count()  # open requests by owner
        sys.setswitchinterval(SWITCH_INTERVAL)
        context = inference_thread(loaded.threads, loaded.device)
        self._unfit = 0  # answers in a row without a number to choose a token by
        self._thread = WorkerThread(
            "engine",
            context=context,
            idle=self._idle,
            step=self._step,
            on_stop=self._stop_streams,
            rest=self._rest,
            rest_every=None if self._limits.prefix_idle is None else min(self._limits.prefix_idle, REST),
        )

    def has_finite_logits(self) -> bool:
        """Whether the model computes numbers: those of damaged weights are often none. Waits for the thread; raises EngineStopped."""
        return self._compute(lambda: self._core.has_finite_logits(*_sample(self.info))).result()

    @property
    def alive(self) -> bool:
        """False once the thread has died or is told to end; then every `generate` raises EngineStopped."""
        return self._thread.alive

    @property
    def fault(self) -> None:
        """What goes wrong here does not mend itself."""

    async def generate(self, request: Request) -> AsyncGenerator[Delta]:
        """Also ends with finish="length" when the grammar fails half way, and with "abort" when the model's numbers are not finite."""
        expect_possible(request, self.info)  # what would hurt others must not reach the thread
        beams, most = request.sampling.beams, self._limit(request) - len(request.tokens)
        async with aclosing(self._answer(request) if beams is None else search(self._answer, request, beams, most)) as deltas:
            async for delta in deltas:
                yield delta

    async def align(self, request: Request, heads: Several[tuple[int, int]]) -> NDArray[np.float32]:
        """Implements engine.api.Aligner."""
        request = replace(request, sampling=Sampling(max_tokens=0))
        expect_possible(request, self.info)
        expect_heads(heads, self.info.reader)
        looks = Looks(heads)
        async with aclosing(self._answer(request, looks)) as deltas:
            async for _ in deltas:
                pass
        return looks.result()

    async def inspect(self, tokens: Several[int], layer: int | None = None) -> Inspection:
        """Implements engine.api.Inspector."""
        core = self._core
        if not isinstance(core, Core) or self.info.reader is not None:
            raise Unsupported("only models that write one token after another, and read nothing else, can be inspected")
        expect_inspectable(tokens, min(MAX_INSPECTED, self.info.context - 1, self._limits.max_step_tokens), self.info)
        return await asyncio.wrap_future(self._compute(lambda: core.inspect(tuple(tokens), layer)))

    def _compute(self, work: Callable[[], Found]) -> Future[Found]:
        """In the engine's thread, between two steps. Raises EngineStopped."""
        found = Future[Found]()

        def run() -> None:
            try:
                found.set_result(work())
            except Exception as error:
                found.set_exception(error)

        self._thread.submit(run)
        return found

    async def _answer(self, request: Request, looks: Looks | None = None) -> AsyncGenerator[Delta]:
        arrived = time.perf_counter()
        matcher = closer = None
        if request.grammar is not None:
            work = partial(self._compile, request, request.grammar)
            async with self._turns.setdefault(request.owner, asyncio.Lock()):
                matcher, closer = await asyncio.get_running_loop().run_in_executor(self._compiling, work)
        seq, stream = self._sequence(request, matcher, closer, looks), Stream()
        seq.arrived = arrived  # its grammar was compiled since
        self._submit(seq, stream)
        delta = Delta()
        try:
            while delta.finish is None:
                delta = await stream.get()
                yield delta
        finally:
            if delta.finish is None:
                self._thread.notify(partial(self._abort, seq))

    def stats(self) -> Stats:
        stats = replace(self._core.stats(), pages_bytes=self._loaded.page_bytes, slots_bytes=self._loaded.slot_bytes)
        vision = self._vision_encoder
        return stats if vision is None else replace(stats, images_read=vision.read, images_found=vision.found)

    async def close(self) -> None:
        """Whoever still waits for tokens gets EngineStopped."""
        self._compiling.shutdown(wait=False, cancel_futures=True)
        await self._thread.close()

    def _limit(self, request: Request) -> int:
        """Of prompt and answer together."""
        return min(self.info.context, len(request.tokens) + request.sampling.max_tokens)

    def _sequence(self, request: Request, matcher: Matcher | None, closer: Closer | None, looks: Looks | None) -> Sequence:
        sampling, limit = request.sampling, self._limit(request)
        seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
        thoughts = None if request.thoughts is None else ThoughtLimit(request.thoughts)
        sampler = TokenSampler(sampling, seed, _written(request, self.info), matcher, closer, thoughts, limit - len(request.tokens))
        shared = max((common_prefix(request.tokens, prefix) for prefix in self._shared), default=0)
        salt, angles = owner_salt(request.owner, request.salt), self._angles(limit) + self._whole(request)
        inputs, block = _rows(request, self.info), None if self._loaded.scheme is None else self._loaded.scheme.block
        tables = self._memory.tables(limit + (block or 0), inputs)
        arrival = next(self._arrivals)
        return Sequence(
            request,
            arrival,
            limit,
            tables,
            sampler,
            salt=salt,
            shared=shared,
            angles=angles,
            inputs=inputs,
            looks=looks,
            block=block,
            places=self._places(request),
            spans=whole_spans(self.info.vision, request.images, len(request.tokens)),
            looked=_looked(request, self.info.vision),
        )

    def _places(self, request: Request) -> Places | None:
        """Of tokens behind the beginning of an image, where the model's rotary positions have several coordinates."""
        vision = self.info.vision
        if vision is None or not request.images or not any(rope.axes for rope in self._loaded.ropes):
            return None
        return places(len(request.tokens), request.images, vision.patch * vision.merge)

    def _whole(self, request: Request) -> bytes:
        """Of a prompt whose tokens all see one another: what is remembered of one depends on all of them."""
        if self.info.vision is None or self.info.vision.sees != "prompt" or not request.images:
            return b""
        told = blake2b(np.asarray(request.tokens, np.int64).tobytes(), digest_size=16)
        for placed in request.images:
            told.update(placed.image.digest)
        return told.digest()

    def _angles(self, limit: int) -> bytes:
        """Which rotary tables a sequence of at most `limit` tokens uses, where the model has several."""
        return b"".join(rope_start(rope, self._loaded.info.context, limit).to_bytes(8) for rope in self._loaded.ropes if rope.scaling)

    def _compile(self, request: Request, grammar: Grammar) -> tuple[Matcher, Closer | None]:
        began = time.thread_time()
        try:
            matcher = self._grammars.compile(grammar, request.owner)
        finally:
            if request.charge is not None:  # perhaps nobody waits for it any more
                request.charge(time.thread_time() - began)
        if request.closing is None:
            return matcher, None
        return matcher, self._closers.new(request, matcher, self._limit(request) - len(request.tokens))

    def _submit(self, seq: Sequence, stream: Stream) -> None:
        with self._lock:
            self._thread.expect_alive()
            if seq.idle:  # takes no place from anybody
                self._thread.submit(partial(self._start, seq, stream))
                return
            most = self._limits.max_running + self._limits.max_waiting
            if self._open.total() >= most:
                raise QueueFull(f"{self._open.total()} requests are running or waiting, and no more are taken")
            owner = seq.request.owner
            if owner and self._open[owner] >= max(1, most // 2):
                raise QueueFull(f"{self._open[owner]} requests of this key are running or waiting, half of all places: no more are taken")
            self._thread.submit(partial(self._start, seq, stream))
            self._open[owner] += 1

    # from here on: the engine's thread

    def _idle(self) -> bool:
        return self._core.idle

    def _rest(self) -> None:
        """What nobody has asked for in a long time takes no memory."""
        free = self._memory.give_back(self._limits.prefix_idle or 0.0)
        if any(free.values()):
            self._loaded.discard(free)

    def _step(self) -> None:
        out = self._core.step()
        if out:
            deliver([(self._streams[seq], _failure(seq) or delta) for seq, delta in out])
        for seq, delta in out:
            if delta.finish is not None:
                self._forget(seq)
            self._watch_numbers(seq, delta)
        if self._core.idle and ((stats := self._core.stats()).pages_used or stats.slots_used):
            _log.error("pages or slots are lost: %s", stats)

    def _watch_numbers(self, seq: Sequence, delta: Delta) -> None:
        """Raises once no answer gets a token any more: then the server is not ready."""
        if delta.tokens:
            self._unfit = 0
        elif seq.finish == "abort" and seq.sampler.failure is None:
            self._unfit += 1
            if self._unfit == 1:
                _log.error("the model's numbers are not finite: its weights, or the memory that holds them, are damaged")
            if self._unfit >= MAX_UNFIT:
                raise ArithmeticError("the model's numbers are not finite: its weights, or the memory that holds them, are damaged")

    def _start(self, seq: Sequence, stream: Stream) -> None:
        self._streams[seq] = stream
        self._core.add(seq)

    def _abort(self, seq: Sequence) -> None:
        if self._thread.alive and seq in self._streams:
            self._core.abort(seq)
            self._forget(seq)

    def _forget(self, seq: Sequence) -> None:
        if not seq.idle:
            with self._lock:
                self._open -= Counter({seq.request.owner: 1})  # which drops owners without any
        del self._streams[seq]

    def _stop_streams(self, cause: BaseException | None) -> None:
        deliver([(stream, stopped_error(cause)) for stream in self._streams.values()])


def _failure(seq: Sequence) -> InvalidGrammar | None:
    """Of a sequence whose grammar allowed no first token."""
    failed = seq.finish == "abort" and seq.sampler.failure is not None
    return InvalidGrammar(f"the grammar cannot be used: {reason(seq.sampler.failure or '')}") if failed else None


def _rows(request: Request, info: ModelInfo) -> int:
    """That an encoder makes of what it reads, or that are made of images that layers look at."""
    if isinstance(request.encoder, Frames):
        return 0 if info.reader is None else info.reader.context
    if info.vision is not None and info.vision.cross is not None:
        return info.vision.cross.rows * len(request.images)
    return len(request.encoder)


def _written(request: Request, info: ModelInfo) -> Several[int]:
    """Its tokens that the model may write: the mark of an image that layers look at is only read."""
    crossed = info.vision is not None and info.vision.cross is not None
    return [token for token in request.tokens if token < info.vocab] if crossed else request.tokens


def _looked(request: Request, vision: VisionInfo | None) -> LookedAt | None:
    if vision is None or vision.cross is None or not request.images:
        return None
    of_tile = vision.cross.rows // max(lines * columns for lines, columns in vision.cross.arrangements)
    marks = tuple(placed.at for placed in request.images)
    return LookedAt(marks, tuple(of_tile * len(placed.image.values) for placed in request.images), vision.cross.rows)


def _sample(info: ModelInfo) -> tuple[tuple[int, ...] | Frames, int]:
    """A short input of an encoder, and the rows that it makes of it."""
    match info.reader:
        case None:
            return (), 0
        case ReaderInfo(reads=ReadsFrames(frames=frames, bins=bins), context=rows):
            return Frames(np.zeros((frames, bins), np.float32)), rows
        case _:
            return (0, 1), 2


def _core(loaded: LoadedModel, memory: Memory, context: int, vision_encoder: VisionEncoder | None) -> Core | DenoisingCore:
    reader = loaded.info.reader
    vision = loaded.info.vision
    cross = None if vision is None else vision.cross
    longest = reader.context if reader is not None else cross.most if cross is not None else 0
    most = largest_step(loaded.limits, context, longest)
    if loaded.scheme is not None:
        most = most._replace(tokens=max(most.tokens, context))  # a text that is seen whole is computed whole
    if vision is not None and vision.sees != "before":
        most = most._replace(tokens=most.tokens + context)  # so is a span that sees both ways
    inputs = Inputs(
        most,
        tuple(loaded.pages),
        loaded.device,
        ropes=loaded.ropes,
        context=loaded.info.context,
        slots=loaded.slots,
        images=vision is not None and cross is None,
    )
    if loaded.scheme is not None:
        return DenoisingCore(DenoisingRunner(loaded.model, inputs, loaded.device), memory, loaded.limits, loaded.scheme)
    return Core(Runner(loaded.model, inputs, loaded.recorder), memory, loaded.limits, vision_encoder, loaded.drafter)
