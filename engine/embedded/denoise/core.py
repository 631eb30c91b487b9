"""The engine of models that denoise, without its thread: sequences in, one step at a time, finished blocks out.

Where tokens see the whole text (Full), each step computes the text anew, up to the end of its canvas. Where they see their own block and
those before (BlockCausal), finished blocks are remembered in pages, and a step computes the current block, behind what is final and not yet
remembered: the last block and the next one's first step are one.
"""

import time
from bisect import insort
from collections.abc import Sequence as Several

import numpy as np
from numpy.typing import NDArray

from engine.api import Delta, Denoising, Frames, Request, Sampling, Stats
from engine.embedded.core import Totals, figures
from engine.embedded.denoise.block import Block
from engine.embedded.denoise.runner import DenoisingRunner
from engine.embedded.denoise.scheme import Scheme
from engine.embedded.memory.memory import Memory
from engine.embedded.sampling.sampler import TokenSampler
from engine.embedded.scheduler import Limits
from engine.embedded.sequence import Chunk, Sequence

BLOCK = 32  # tokens, where neither the model nor the request says it


class DenoisingCore:
    """Used by one thread; `stats` may be read by any."""

    def __init__(self, runner: DenoisingRunner, memory: Memory, limits: Limits, scheme: Scheme) -> None:
        self.memory, self._runner, self._limits, self._scheme = memory, runner, limits, scheme
        self.waiting: list[Sequence] = []  # in order of rank
        self.running: list[Sequence] = []  # the next one to be served first
        self._blocks: dict[Sequence, Block] = {}
        self._totals, self._preemptions = Totals(), 0

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.running

    def add(self, seq: Sequence) -> None:
        insort(self.waiting, seq, key=_rank)

    def abort(self, seq: Sequence) -> None:
        """Removes an unfinished sequence."""
        self._remove(seq)
        self._totals.aborts += 1

    def has_finite_logits(self, read: tuple[int, ...] | Frames = (), rows: int = 0) -> bool:
        """Whether a forward pass of a few tokens gives numbers; leaves nothing behind."""
        tokens = (0,) * (self._scheme.block or 2)
        request = Request(tokens=tokens, sampling=Sampling(max_tokens=0))
        seq = Sequence(request, 0, len(tokens), self.memory.tables(len(tokens)), TokenSampler(request.sampling, 0))
        self.memory.admit(seq, 0, reserve=0)
        try:
            return bool(np.isfinite(self._runner.logits([Chunk(seq, len(tokens))], [len(tokens) - 1])).all())
        finally:
            self.memory.release(seq)

    def step(self) -> list[tuple[Sequence, Delta]]:
        """Runs one step. Returns the deltas of the sequences of which a block was finished."""
        self._admit()
        chunks = self._schedule()
        if not chunks:
            return []
        wanted, count, start = list[int](), list[int](), 0
        for chunk in chunks:
            rows = self._rows(chunk, start)
            wanted, count, start = wanted + rows, [*count, len(rows)], start + chunk.size
        logits_NY = self._runner.logits(chunks, wanted or [0])
        parts = np.split(logits_NY[: len(wanted)], np.cumsum(count)[:-1])
        out = ((chunk.sequence, self._advance(chunk, part)) for chunk, part in zip(chunks, parts, strict=True))
        return [(seq, delta) for seq, delta in out if delta is not None]

    def stats(self) -> Stats:
        return figures(self.memory, self._totals, len(self.waiting), len(self.running), self._preemptions)

    def _admit(self) -> None:
        """In order of rank; what has idle time only, where there is nothing else."""
        for seq in self.waiting[:]:
            busy = any(not other.idle for other in (*self.running, *self.waiting))
            if len(self.running) >= self._limits.max_running or (seq.idle and busy):
                return
            pages = 0 if self._scheme.block is None else self.memory.match(seq)
            if not self.memory.admit(seq, pages, reserve=len(self.running)):
                return
            self.waiting.remove(seq)
            self.running.append(seq)
            if seq.cached is None:
                seq.cached, seq.queued = seq.computed, time.perf_counter() - seq.arrived
                seq.tokens[seq.prompt :] = self._scheme.mask

    def _schedule(self) -> list[Chunk]:
        """Those whose turn it is, as many as the budget of tokens allows, one at least."""
        budget, chunks = self._limits.max_step_tokens, list[Chunk]()
        busy = any(not seq.idle for seq in self.running)
        for seq in self.running[:]:
            if budget <= 0 or (busy and seq.idle) or seq not in self.running:
                continue
            size = self._size(seq, budget)
            if (chunks and size > budget) or not self._grow(seq, seq.computed + size, chunks):
                continue
            chunks.append(Chunk(seq, size))
            budget -= size
        served = [chunk.sequence for chunk in chunks]
        self.running = [*(seq for seq in self.running if seq not in served), *served]
        return chunks

    def _size(self, seq: Sequence, budget: int) -> int:
        """Tokens from `computed` on that its next step computes: to the canvas' end, or as many whole blocks as fit, one at least."""
        block = self._block(seq)
        if self._scheme.block is None:
            return self._canvas_end(seq)
        whole = max(1, budget // self._scheme.block) * self._scheme.block
        return min(block.end - seq.computed, whole)

    def _grow(self, seq: Sequence, tokens: int, chunks: Several[Chunk]) -> bool:
        """Makes room, if need be by preempting those that are not in this step, the newest first."""
        while not self.memory.grow(seq, tokens):
            served = {chunk.sequence for chunk in chunks}
            others = [other for other in self.running if other is not seq and other not in served]
            last = max(others, key=_rank, default=None)
            if last is None:
                return False  # those in the step will finish and free their pages
            self._preempt(last)
        return True

    def _preempt(self, seq: Sequence) -> None:
        self.running.remove(seq)
        self.memory.release(seq)
        self.add(seq)
        self._preemptions += 1

    def _block(self, seq: Sequence) -> Block:
        """The current one, which may begin with the prompt's last tokens."""
        if seq not in self._blocks:
            how = _how(seq.request)
            size = self._scheme.block or how.block or BLOCK
            begin = seq.length // size * size if self._scheme.block else seq.length
            end = begin + size if self._scheme.block else min(begin + size, len(seq.tokens))
            self._blocks[seq] = Block(begin, seq.length, end, how)
        return self._blocks[seq]

    def _canvas_end(self, seq: Sequence) -> int:
        canvas, block = _how(seq.request).canvas, self._block(seq)
        end = seq.prompt + -(-(block.end - seq.prompt) // canvas) * canvas
        return min(end, len(seq.tokens))

    def _rows(self, chunk: Chunk, start: int) -> list[int]:
        """Where the logits of its masked tokens lie among the rows of the step, in which its own begin at `start`."""
        seq, block = chunk.sequence, self._block(chunk.sequence)
        if chunk.end < block.end:
            return []  # of its prompt
        return [start + place - seq.computed - self._scheme.shifted for place in block.masked]

    def _advance(self, chunk: Chunk, rows_NY: NDArray[np.float32]) -> Delta | None:
        seq, block, end = chunk.sequence, self._block(chunk.sequence), chunk.end
        if self._scheme.block is not None and (final := min(end, block.begin) - seq.computed) > 0:
            self.memory.advance(seq, final)
        if end < block.end:
            return None
        found = block.accept(list(rows_NY), seq.request.sampling, seq.sampler.seed, self._scheme.mask)
        if found is None:
            self._remove(seq)
            return self._count(seq, seq.fail())
        seq.tokens[list(found)] = list(found.values())
        return None if block.masked else self._finish_block(seq, block)

    def _finish_block(self, seq: Sequence, block: Block) -> Delta:
        del self._blocks[seq]
        logprobs = [block.logprobs[place] for place in range(seq.length, block.end)]
        delta = seq.extend(block.end, [one for one in logprobs if one is not None])
        if delta.finish is not None:
            self._remove(seq)
        return self._count(seq, delta)

    def _count(self, seq: Sequence, delta: Delta) -> Delta:
        if seq.generated == len(delta.tokens):
            self._totals.prompt += seq.usage.prompt
            self._totals.cached += seq.usage.cached
        self._totals.generated += len(delta.tokens)
        self._totals.aborts += delta.finish == "abort"
        return delta

    def _remove(self, seq: Sequence) -> None:
        self._blocks.pop(seq, None)
        if seq in self.running:
            self.running.remove(seq)
            self.memory.release(seq)
        else:
            self.waiting.remove(seq)


def _how(request: Request) -> Denoising:
    return request.sampling.denoising or Denoising()


def _rank(seq: Sequence) -> tuple[int, int]:
    return seq.rank
