"""Which sequences take part in the next step, and with how many tokens.

Decodes first, then prompts chunk by chunk up to a budget, in one mixed step, so that a long prompt never stalls the answers that are
running. An encoder's input is read whole, beside the first tokens of its answer; such inputs have a budget of their own, as large, which
one of them may exceed. Places are given to owners in turn. When pages run out, the newest sequence gives its own back and is recomputed
later. What has idle time only gives way to everything else at once, places and pages too, and finds in the prefix cache later what is
left there.
"""

import time
from bisect import insort
from collections import Counter
from dataclasses import dataclass
from operator import itemgetter

from engine.embedded.memory.memory import Memory
from engine.embedded.memory.page_pool import PAGE
from engine.embedded.sequence import Chunk, Sequence
from engine.embedded.speculation.drafter import Drafter
from engine.embedded.vision.encoder import VisionEncoder

SPECULATING = 8  # sequences: with as many in a step, one more row costs what it may gain
DRAFT_ROWS = 16  # guesses of a step
IDLE_SHARES = 2  # times mixed_step_tokens: prompts of a step in idle time, whose end somebody who comes meanwhile waits for


@dataclass(frozen=True, kw_only=True)
class Limits:
    max_running: int  # sequences that hold pages
    max_waiting: int  # more than these are refused
    max_step_tokens: int  # of prompts, in one step
    mixed_step_tokens: int  # of prompts, for each answer that waits for its next token: bounds that wait
    prefix_idle: float | None = None  # seconds unused after which cached prefixes are forgotten while nothing runs; None: never


class Scheduler:
    def __init__(self, memory: Memory, limits: Limits, vision: VisionEncoder | None = None, drafter: Drafter | None = None) -> None:
        self.memory, self.limits, self.vision, self._drafter = memory, limits, vision, drafter
        self.waiting: list[Sequence] = []  # both in order of rank
        self.running: list[Sequence] = []
        self.preemptions = 0

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.running

    def add(self, seq: Sequence) -> None:
        insort(self.waiting, seq, key=_rank)

    def remove(self, seq: Sequence) -> None:
        """Forget a finished or aborted sequence and free its pages."""
        self._forget_images(seq)
        if seq in self.running:
            self.running.remove(seq)
            self.memory.release(seq)
        else:
            self.waiting.remove(seq)

    def schedule(self) -> list[Chunk]:
        """Decodes first, each list in order of rank. Empty only when nothing is waiting or running, or when all that
        waits is an image that is not read yet."""
        step: list[Chunk] = []
        self._give_way()
        self._make_place()
        self._decodes(step)
        budget = self._budget(len(step)) - sum(chunk.size - 1 for chunk in step)
        if self._drafter is not None and len(step) == len(self.running) < SPECULATING and not self.waiting:
            self._speculate(step, self._drafter)
        if len(step) < len(self.running):
            budget = self._prompts(step, budget)
        if budget > 0 and len(self.running) < self.limits.max_running:
            self._admissions(step, budget)
        return step

    @property
    def _busy(self) -> bool:
        """Is there anything that may be computed at any time?"""
        return any(seqs and not seqs[0].idle for seqs in (self.running, self.waiting))

    def _candidates(self) -> list[Sequence]:
        """Those that wait and may begin now, in order of rank."""
        if self.waiting and self.waiting[-1].idle and self._busy:
            return [seq for seq in self.waiting if not seq.idle]
        return self.waiting[:]

    def _give_way(self) -> None:
        if self._busy:
            while self.running and self.running[-1].idle:
                self._put_back(self.running[-1])

    def _make_place(self) -> None:
        """Preempts the newest of an owner who has all places, for another who has none."""
        if not self.waiting or len(self.running) < self.limits.max_running:
            return
        counts = Counter(seq.request.owner for seq in self.running)
        owner, most = counts.most_common(1)[0]
        if most > 1 and any(seq.request.owner not in counts for seq in self._candidates()):
            self._preempt(next(seq for seq in reversed(self.running) if seq.request.owner == owner))

    def _in_turns(self) -> list[Sequence]:
        """Those that wait, in the order in which they may begin: by priority, then one of each owner in turn."""
        candidates = self._candidates()
        if len({seq.request.owner for seq in candidates}) < 2:
            return candidates
        turns, order = Counter(seq.request.owner for seq in self.running), list[tuple[int, int, int, Sequence]]()
        for seq in candidates:
            priority, arrival = seq.rank
            order.append((priority, turns[seq.request.owner], arrival, seq))
            turns[seq.request.owner] += 1
        return [seq for *_, seq in sorted(order, key=itemgetter(0, 1, 2))]

    def _decodes(self, step: list[Chunk]) -> None:
        """Preemption shortens `running` from its end, which a loop over a list allows."""
        step.extend(Chunk(s, s.pending) for s in self.running if s.decoding and (s.room >= s.length or self._make_room(s)))

    def _speculate(self, step: list[Chunk], drafter: Drafter) -> None:
        """Lengthens chunks of decodes by guesses, while nobody waits for a first token."""
        share = min(DRAFT_ROWS, self.limits.max_step_tokens) // max(1, len(step)) - max(
            (chunk.sequence.behind for chunk in step), default=0
        )
        wanted = [(chunk.sequence, self._foreseen(chunk.sequence, share)) for chunk in step]
        wanted = [(seq, most) for seq, most in wanted if most > 0]
        drafts = dict(zip((seq for seq, _ in wanted), drafter.draft(wanted), strict=True)) if wanted else {}
        for i, (seq, size, _) in enumerate(step):
            draft = drafts.get(seq, ())
            count = self.memory.foresee(seq, len(draft), reserve=len(self.running)) if len(draft) else 0
            if count > 0:
                seq.tokens[seq.length : seq.length + count] = draft[:count]
                step[i] = Chunk(seq, size + count, count)

    def _foreseen(self, seq: Sequence, share: int) -> int:
        """Guesses that `seq` may have now."""
        return 0 if seq.pace is None else min(seq.pace.length, share, seq.limit - seq.length - 1)

    def _budget(self, decodes: int) -> int:
        """Tokens of prompts for this step. Prompts slow down the answers that are running; the more wait for their
        first token, measured against those who wait for their next, the more they may."""
        if not self._busy:
            return min(self.limits.max_step_tokens, IDLE_SHARES * self.limits.mixed_step_tokens)
        if not decodes:
            return self.limits.max_step_tokens
        prompts = len(self._candidates()) + len(self.running) - decodes
        return min(self.limits.max_step_tokens, self.limits.mixed_step_tokens * -(-prompts // decodes))

    def _make_room(self, seq: Sequence) -> bool:
        """Preempt from the newest on until `seq` has its page. False when it was itself the newest."""
        while not self.memory.grow(seq, seq.length):
            if self._preempt() is seq:
                return False
        return True

    def _prompts(self, step: list[Chunk], budget: int) -> int:
        """Running sequences whose prompt is not all computed. Returns the budget left."""
        for seq in self.running:
            if budget <= 0:
                break
            if seq.pending > 1 and not seq.decoding:
                budget -= self._chunk(step, seq, budget)
        return budget

    def _chunk(self, step: list[Chunk], seq: Sequence, budget: int) -> int:
        count = self.memory.until(seq, min(budget, seq.length - seq.computed))
        while not self.memory.grow(seq, seq.computed + count):
            if step or self._preempt() is seq:
                return 0  # those in the step will finish and free their pages
        step.append(Chunk(seq, count))
        return count

    def _admissions(self, step: list[Chunk], budget: int) -> None:
        arriving, rows, most = self._arriving(), budget, budget
        for seq in self._in_turns():
            if budget <= 0 or len(self.running) >= self.limits.max_running:
                return
            pages, unread = self.memory.match(seq), self.memory.inputs.unread(seq)
            if self._worth_waiting(seq, pages, unread, arriving) or (unread and rows < min(unread, most)):
                continue
            if self.vision is not None and not self.vision.ready(seq, _seen(seq, pages * PAGE, unread)):
                continue
            if not self.memory.admit(seq, pages, reserve=len(self.running)):
                return  # nobody overtakes for memory: the first in line would starve
            self._start(seq)
            rows -= unread
            budget -= self._chunk(step, seq, budget)
            arriving.update(self._coming(seq))

    def _start(self, seq: Sequence) -> None:
        self.waiting.remove(seq)
        insort(self.running, seq, key=_rank)
        if seq.cached is None:
            if self.vision is not None and seq.looked is not None and seq.encoded:
                self.vision.found += len(seq.request.images)  # what layers remember of them is there
            seq.cached, seq.queued = seq.computed, time.perf_counter() - seq.arrived

    def _arriving(self) -> set[bytes]:
        """Keys of the full pages that running prompts are about to compute, and of inputs about to be read."""
        return {key for seq in self.running if (seq.pending > 1 and not seq.decoding) or not seq.encoded for key in self._coming(seq)}

    def _coming(self, seq: Sequence) -> list[bytes]:
        full = seq.length // PAGE
        pages = self.memory.keys(seq, full)[seq.published : full]
        return pages if seq.encoded else [self.memory.inputs.key(seq), *pages]

    def _worth_waiting(self, seq: Sequence, pages: int, unread: int, arriving: set[bytes]) -> bool:
        """Is the first page that `seq` lacks, or its input, just being computed for somebody else?"""
        if unread and self.memory.inputs.key(seq) in arriving:
            return True
        return pages < seq.reusable // PAGE and seq.keys[pages] in arriving

    def _preempt(self, seq: Sequence | None = None) -> Sequence:
        """`seq`, or the newest."""
        seq = self.running[-1] if seq is None else seq
        self._put_back(seq)
        self.preemptions += 1
        return seq

    def _forget_images(self, seq: Sequence) -> None:
        if self.vision is not None:
            self.vision.forget(seq)

    def _put_back(self, seq: Sequence) -> None:
        self._forget_images(seq)
        self.running.remove(seq)
        self.memory.release(seq)
        self.add(seq)


def _seen(seq: Sequence, cached: int, unread: int) -> int:
    """How many of its first tokens need no image any more."""
    if seq.looked is None:
        return cached
    return 0 if unread else seq.length


def _rank(seq: Sequence) -> tuple[int, int]:
    return seq.rank
