"""Beam search: the algorithm, and how it asks the engine.

Every beam is a request of its own for one more token and the most likely ones; what beams have in common the prefix cache remembers,
and an encoder reads their input once. So beams need no memory that others have not got, at the price of computing again, at every token,
those behind the last full page.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from heapq import nlargest

from engine.api import Beams, Delta, Finish, Request, Sampling, Usage
from engine.embedded.sampling.sampler import TokenSampler

Generate = Callable[[Request], AsyncGenerator[Delta]]
Scored = tuple[int, float]  # a token and its logprob


@dataclass(frozen=True)
class Beam:
    """`score`: sum of its tokens' logprobs; of one that has ended, divided as `Beams` says."""

    tokens: tuple[int, ...]
    score: float


class BeamSearch:
    """As transformers 5.24 has it (`_beam_search`), for one answer of at most `most` tokens."""

    def __init__(self, beams: Beams, stop_tokens: frozenset[int], most: int) -> None:
        self._beams, self._stop, self._most = beams, stop_tokens, most
        self.keep = max(2, 1 + len(stop_tokens)) * beams.width  # so many candidates that enough of them go on
        self.running, self.ended = [Beam((), 0.0)], list[Beam]()
        self.done = False

    def advance(self, found: list[list[Scored]]) -> None:
        """`found`: for each of `running`, the most likely tokens, `keep` of them if as many are allowed."""
        pairs = ((beam, token, logprob) for beam, scored in zip(self.running, found, strict=True) for token, logprob in scored)
        grown = [Beam((*beam.tokens, token), beam.score + logprob) for beam, token, logprob in pairs]
        best = nlargest(self.keep, grown, key=lambda beam: beam.score)
        ended = [self._scaled(beam, len(beam.tokens)) for beam in best[: self._beams.width] if self._ends(beam)]
        if not (self._beams.until == "full" and self._full):
            self.ended = nlargest(self._beams.width, [*self.ended, *ended], key=lambda beam: beam.score)
        self.running = [beam for beam in best if not self._ends(beam)][: self._beams.width]
        self.done = not self.running or (self._full and not self._improvable())

    @property
    def _full(self) -> bool:
        return len(self.ended) == self._beams.width

    def _ends(self, beam: Beam) -> bool:
        return beam.tokens[-1] in self._stop or len(beam.tokens) == self._most

    def _improvable(self) -> bool:
        """Whether one that goes on may still be better than the worst that has ended."""
        if self._beams.until == "full":
            return False
        first = self.running[0]
        longest = self._beams.until == "certain" and self._beams.length_penalty > 0
        return self._scaled(first, self._most if longest else len(first.tokens)).score > self.ended[-1].score

    def _scaled(self, beam: Beam, length: int) -> Beam:
        return replace(beam, score=beam.score / length**self._beams.length_penalty)


async def search(generate: Generate, request: Request, beams: Beams, most: int) -> AsyncGenerator[Delta]:
    """One delta with the whole answer, of at most `most` tokens."""
    sampling, used = request.sampling, list[Usage]()  # of every request in turn: what the first one found is the answer's
    state = BeamSearch(beams, sampling.stop_tokens, most)
    while not state.done:
        asked = [_Asked(request, beam, state.keep, most) for beam in state.running]
        steps = await asyncio.gather(*(one.candidates(generate) for one in asked))
        used += [one.used for one in asked if one.used is not None]
        state.advance(steps)
    tokens = state.ended[0].tokens if state.ended else ()  # none where the model's numbers are not finite
    first = used[0] if used else Usage(prompt=len(request.tokens), completion=0, cached=0)  # none where every token was forced
    usage = replace(first, completion=len(tokens))
    yield Delta(tokens=tokens, finish=_finish(tokens, sampling.stop_tokens), usage=usage)


def _finish(tokens: tuple[int, ...], stop_tokens: frozenset[int]) -> Finish:
    if not tokens:
        return "abort"
    return "stop" if tokens[-1] in stop_tokens else "length"


class _Asked:
    """What comes after one beam."""

    def __init__(self, request: Request, beam: Beam, keep: int, most: int) -> None:
        self._request, self._beam, self._keep = request, beam, keep
        self._sampler = TokenSampler(request.sampling, 0, request.tokens, most=most)
        for token in beam.tokens:
            self._sampler.accept(token)
        self.used: Usage | None = None

    async def candidates(self, generate: Generate) -> list[Scored]:
        """The most likely tokens that are allowed, the best first. One that is forced is certain."""
        if (forced := self._sampler.forced) is not None:
            return [(forced, 0.0)]
        forbidden = {int(token) for tokens in self._sampler.forbidden() for token in tokens}
        sampling = Sampling(max_tokens=1, temperature=0, logprobs=self._keep + len(forbidden))
        tokens = (*self._request.tokens, *self._beam.tokens)
        top: tuple[Scored, ...] = ()
        async with aclosing(generate(replace(self._request, tokens=tokens, sampling=sampling))) as deltas:
            async for delta in deltas:
                top = delta.logprobs[0].top if delta.logprobs else top
                self.used = replace(delta.usage, prompt=delta.usage.prompt - len(self._beam.tokens)) if delta.usage else self.used
        return [(token, logprob) for token, logprob in top if token not in forbidden][: self._keep]
