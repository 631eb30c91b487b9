"""The engine without its thread: sequences in, one step at a time, deltas out."""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.api import Delta, Frames, Request, Sampling, Stats, TokenLogprob
from engine.embedded.memory.memory import Memory
from engine.embedded.sampling.sampler import SampledToken, TokenSampler
from engine.embedded.scheduler import Limits, Scheduler
from engine.embedded.sequence import Chunk, Sequence
from engine.embedded.step.runner import Runner
from engine.embedded.vision.encoder import VisionEncoder


@dataclass(slots=True)
class Totals:
    """Counters since start."""

    prompt: int = 0
    cached: int = 0
    generated: int = 0
    aborts: int = 0


class Core:
    """Used by one thread; `stats` may be read by any."""

    def __init__(self, runner: Runner, memory: Memory, limits: Limits, vision: VisionEncoder | None = None) -> None:
        self.memory, self.scheduler, self._vision = memory, Scheduler(memory, limits, vision), vision
        self._runner, self._totals = runner, Totals()

    @property
    def idle(self) -> bool:
        return self.scheduler.idle

    def add(self, seq: Sequence) -> None:
        self.scheduler.add(seq)

    def abort(self, seq: Sequence) -> None:
        """Removes an unfinished sequence."""
        self.scheduler.remove(seq)
        self._totals.aborts += 1

    def has_finite_logits(self, read: tuple[int, ...] | Frames = (), rows: int = 0) -> bool:
        """Whether a forward pass of a few tokens gives numbers; leaves nothing behind. `read`: what an encoder reads, of which it makes
        so many rows."""
        request = Request(tokens=(0, 1), sampling=Sampling(max_tokens=1), encoder=read)
        seq = Sequence(request, 0, 3, self.memory.tables(3, rows), TokenSampler(request.sampling, 0), inputs=rows)
        self.memory.admit(seq, 0, reserve=0)
        self.memory.grow(seq, 2)
        try:
            return self._runner.has_finite_logits([Chunk(seq, 2)])
        finally:
            self.memory.release(seq)

    def step(self) -> list[tuple[Sequence, Delta]]:
        """Runs one scheduled step. Returns the deltas of the sequences that gained a token."""
        step = self.scheduler.schedule()
        if self._vision is not None:
            self._vision.work()
        if not step:
            return []
        choices = iter(self._runner.run(step))
        advanced = ((chunk.sequence, self._advance(chunk, choices)) for chunk in step)
        return [(seq, delta) for seq, delta in advanced if delta is not None]

    def stats(self) -> Stats:
        return figures(self.memory, self._totals, len(self.scheduler.waiting), len(self.scheduler.running), self.scheduler.preemptions)

    def _advance(self, chunk: Chunk, choices: Iterator[SampledToken]) -> Delta | None:
        seq, completes = chunk.sequence, chunk.completes
        if not seq.encoded:
            self.memory.inputs.publish(seq)
        self.memory.advance(seq, chunk.size)
        if seq.computed >= seq.prompt or seq.looked is not None:
            seq.image_rows.clear()
        if not completes and seq.computed < seq.limit:
            return None
        delta = self._extend(seq, *next(choices)) if completes else seq.end_prompt()
        self._count(seq, delta)
        if delta.finish is not None:
            self.scheduler.remove(seq)
        return delta

    def _extend(self, seq: Sequence, token: int | None, logprob: TokenLogprob | None) -> Delta:
        return seq.fail() if token is None else seq.append(token, logprob)

    def _count(self, seq: Sequence, delta: Delta) -> None:
        if seq.generated == 1 or seq.limit == seq.prompt:
            self._totals.prompt += seq.usage.prompt
            self._totals.cached += seq.usage.cached
        self._totals.generated += len(delta.tokens)
        self._totals.aborts += delta.finish == "abort"


def figures(memory: Memory, totals: Totals, waiting: int, running: int, preemptions: int) -> Stats:
    free, used, cached, total = memory.counts
    slots_free, slots_used, slots_cached, slots_total = memory.slot_counts
    return Stats(
        waiting=waiting,
        running=running,
        pages_free=free,
        pages_used=used,
        pages_cached=cached,
        pages_total=total,
        slots_free=slots_free,
        slots_used=slots_used,
        slots_cached=slots_cached,
        slots_total=slots_total,
        prompt_tokens=totals.prompt,
        cached_tokens=totals.cached,
        generated_tokens=totals.generated,
        preemptions=preemptions,
        aborts=totals.aborts,
    )
