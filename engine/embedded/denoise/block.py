"""One block of tokens in the making: which are still masked, and which of them a step accepts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.api import Denoising, Sampling, TokenLogprob
from engine.embedded.sampling.sampler import Row, draw, token_logprob, uniform

PLACES = 1 << 24  # more than a text has tokens: numbers of steps and places, as one number for the seed


class Block:
    """Tokens begin..end-1 of a sequence, of which those from `known` on are masked."""

    def __init__(self, begin: int, known: int, end: int, how: Denoising) -> None:
        self.begin, self.end = begin, end
        self.masked = list(range(known, end))
        self.logprobs: dict[int, TokenLogprob | None] = {}
        self._how, self._step = how, 0
        self._counts = shares(len(self.masked), how.steps or len(self.masked))

    def accept(self, rows_NY: Sequence[Row], sampling: Sampling, seed: int, forbidden: int) -> dict[int, int] | None:
        """The tokens that are found, by place; `rows_NY`: logits of the masked ones; `forbidden`: a token that none of them is. None where
        the logits are no numbers."""
        found = [_Candidate(row, place, self._step, sampling, seed, forbidden) for row, place in zip(rows_NY, self.masked, strict=True)]
        if any(one.token is None for one in found):
            return None
        chosen = sorted(found, key=lambda one: -one.rank(self._how.order))[: self._count(found)]
        for one in chosen:
            self.masked.remove(one.place)
            self.logprobs[one.place] = one.logprob
        self._step += 1
        return {one.place: one.token for one in chosen if one.token is not None}

    def _count(self, found: Sequence["_Candidate"]) -> int:
        if self._how.threshold is None:
            return self._counts[self._step]
        return max(1, sum(one.probability >= self._how.threshold for one in found))


def shares(tokens: int, steps: int) -> list[int]:
    """How many of `tokens` each of at most `steps` accepts: as many as any other, the first ones one more."""
    steps = max(1, min(steps, tokens))
    return [tokens // steps + (i < tokens % steps) for i in range(steps)]


class _Candidate:
    """What one masked token would be."""

    def __init__(self, row_Y: Row, place: int, step: int, sampling: Sampling, seed: int, forbidden: int) -> None:
        self.place, self._at = place, uniform(seed, step * PLACES + place)
        row_Y = row_Y.copy()
        for token, bias in sampling.logit_bias:
            row_Y[token] += np.float32(bias)
        row_Y[forbidden] = -np.inf
        self.token: int | None = None
        self.logprob: TokenLogprob | None = None
        if not np.isfinite(row_Y.max()):
            return
        self.token = int(row_Y.argmax()) if sampling.temperature == 0 else draw(row_Y, sampling, self._at)
        scored = token_logprob(row_Y, self.token, sampling.logprobs or 0, sampling.scored)
        self.probability = float(np.exp(scored.logprob))
        self.logprob = None if sampling.logprobs is None else scored
        self._row_Y = row_Y

    def rank(self, order: str) -> float:
        """The higher, the sooner it is accepted."""
        match order:
            case "confidence":
                return self.probability
            case "entropy":
                return float((self._p_Y * np.log(self._p_Y + 1e-10)).sum())
            case "margin":
                first, second = np.sort(np.partition(self._p_Y, -2)[-2:])[::-1]
                return float(first - second)
            case _:
                return self._at

    @property
    def _p_Y(self) -> NDArray[np.float32]:
        p_Y = np.exp(self._row_Y - self._row_Y.max())
        return p_Y / p_Y.sum()
