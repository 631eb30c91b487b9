"""The engine without its thread: sequences in, one step at a time, deltas out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from engine.api import Delta, Frames, Inspection, QueueFull, Request, Sampling, Stats, TokenLogprob
from engine.embedded.memory.memory import Memory
from engine.embedded.sampling.sampler import SampledToken, TokenSampler
from engine.embedded.scheduler import Limits, Scheduler
from engine.embedded.sequence import Chunk, Sequence
from engine.embedded.speculation.drafter import Drafter
from engine.embedded.step.inspecting import Inspecting
from engine.embedded.step.runner import Runner
from engine.embedded.vision.encoder import VisionEncoder


@dataclass(slots=True)
class Totals:
    """Counters since start."""

    prompt: int = 0
    cached: int = 0
    generated: int = 0
    drafted: int = 0
    accepted: int = 0
    aborts: int = 0


class Core:
    """Used by one thread; `stats` may be read by any."""

    def __init__(
        self,
        runner: Runner,
        memory: Memory,
        limits: Limits,
        vision: VisionEncoder | None = None,
        drafter: Drafter | None = None,
    ) -> None:
        """`drafter`: guesses tokens; None: nobody does."""
        self.memory, self.scheduler, self._vision = memory, Scheduler(memory, limits, vision, drafter), vision
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
        with self._alone((0, 1), read, rows) as chunk:
            return self._runner.has_finite_logits([chunk])

    def inspect(self, tokens: tuple[int, ...], layer: int | None) -> Inspection:
        """As engine.api.Inspector says; leaves nothing behind. Raises EngineError."""
        watcher = Inspecting(layer)
        with self._alone(tokens) as chunk:
            self._runner.watch([chunk], watcher)
        return watcher.result()

    @contextmanager
    def _alone(self, tokens: tuple[int, ...], read: tuple[int, ...] | Frames = (), rows: int = 0) -> Iterator[Chunk]:
        """A sequence beside the scheduled ones, for one step. Raises QueueFull."""
        request, limit = Request(tokens=tokens, sampling=Sampling(max_tokens=1), encoder=read), len(tokens) + 1
        seq = Sequence(request, 0, limit, self.memory.tables(limit, rows), TokenSampler(request.sampling, 0), inputs=rows)
        if not self.memory.admit(seq, 0, reserve=0):
            raise QueueFull("the running answers leave no memory for it now")
        try:
            if not self.memory.grow(seq, len(tokens)):
                raise QueueFull("the running answers leave no memory for it now")
            yield Chunk(seq, len(tokens))
        finally:
            self.memory.release(seq)

    def step(self) -> list[tuple[Sequence, Delta]]:
        """Runs one scheduled step. Returns the deltas of the sequences that gained tokens, one for each token."""
        step = self.scheduler.schedule()
        if self._vision is not None:
            self._vision.work()
        if not step:
            return []
        choices = iter(self._runner.run(step))
        return [(chunk.sequence, delta) for chunk in step for delta in self._advance(chunk, choices)]

    def stats(self) -> Stats:
        return figures(self.memory, self._totals, len(self.scheduler.waiting), len(self.scheduler.running), self.scheduler.preemptions)

    def _advance(self, chunk: Chunk, choices: Iterator[Iterator[SampledToken]]) -> list[Delta]:
        seq, completes = chunk.sequence, chunk.completes
        if chunk.drafted:
            return self._verify(chunk, next(choices))
        if not seq.encoded:
            self.memory.inputs.publish(seq)
        seq.behind = 0
        self.memory.advance(seq, chunk.size)
        if seq.computed >= seq.prompt or seq.looked is not None:
            seq.image_rows.clear()
        if not completes and seq.computed < seq.limit:
            return []
        if seq.pace is not None:
            seq.pace.passed()
        delta = self._extend(seq, *next(next(choices))) if completes else seq.end_prompt()
        self._count(seq, delta)
        if delta.finish is not None:
            self.scheduler.remove(seq)
        return [delta]

    def _verify(self, chunk: Chunk, choices: Iterator[SampledToken]) -> list[Delta]:
        """Every token is chosen as it would be without guesses; those behind a wrong guess are not looked at."""
        seq, known, deltas, right = chunk.sequence, chunk.size - chunk.drafted, list[Delta](), 0
        drafts: list[int | None] = [*seq.tokens[seq.length : seq.length + chunk.drafted].tolist(), None]
        for draft, (token, logprob) in zip(drafts, choices, strict=False):
            deltas.append(self._extend(seq, token, logprob))
            self._count(seq, deltas[-1])
            right += draft is not None and token == draft
            if token != draft or seq.finish is not None:
                break
        self._note_guesses(seq, chunk.drafted, right)
        self.memory.settle(seq, known, len(deltas) - 1, chunk.drafted)
        if seq.finish is not None:
            self.scheduler.remove(seq)
        return deltas

    def _note_guesses(self, seq: Sequence, drafted: int, right: int) -> None:
        self._totals.drafted += drafted
        self._totals.accepted += right
        if seq.pace is not None:
            seq.pace.told(drafted, right)

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
        drafted_tokens=totals.drafted,
        accepted_tokens=totals.accepted,
        preemptions=preemptions,
        aborts=totals.aborts,
    )
