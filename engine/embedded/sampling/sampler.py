"""Logits to tokens. Y vocabulary, S sequences.

Row by row in numpy on the host: at the sizes of a few dozen rows that beats batched tensor operations by far (one
argmax over 49,152 numbers takes 4 µs), and a row's result cannot depend on what else is in the batch. Greedy rows on
a GPU are reduced there. A token is drawn by inverting the distribution function, in vocabulary order, at a number in
[0, 1) that depends on (seed, how many tokens were generated) alone.
"""

import math
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.api import Sampling, TokenLogprob
from engine.embedded.sampling.bad_words import BadWords
from engine.embedded.sampling.closing import Closer
from engine.embedded.sampling.grammar import GrammarFailed, Matcher
from engine.embedded.sampling.no_repeat import NoRepeat
from engine.embedded.sampling.thoughts import ThoughtLimit
from engine.embedded.sampling.timestamps import TimestampOrder

Row = NDArray[np.float32]
BLOCK = 256  # of the vocabulary, summed at once


class TokenSampler:
    """Chooses one sequence's tokens; holds all that this depends on: token counts, state of the grammar, random seed."""

    __slots__ = (
        "bad_words",
        "bias",
        "closer",
        "drawn",
        "failure",
        "matcher",
        "most",
        "plain",
        "repeats",
        "sampling",
        "seed",
        "seen",
        "stop",
        "thoughts",
        "times",
    )

    def __init__(
        self,
        sampling: Sampling,
        seed: int,
        prompt: Sequence[int] = (),
        matcher: Matcher | None = None,
        closer: Closer | None = None,
        thoughts: ThoughtLimit | None = None,
        most: int | None = None,
    ) -> None:
        """`closer`: of an answer with a `matcher`. `most`: tokens that the answer may have, where that is less than max_tokens."""
        self.sampling, self.seed, self.matcher, self.closer, self.thoughts = sampling, seed, matcher, closer, thoughts
        self.drawn, self.most = 0, sampling.max_tokens if most is None else most
        self.failure: str | None = None  # why the grammar has failed
        penalized = sampling.presence_penalty or sampling.frequency_penalty or sampling.repetition_penalty != 1
        self.seen = TokenCounts(prompt) if penalized else None
        self.bias = _merged_bias(sampling.logit_bias)
        self.stop = np.fromiter(sampling.stop_tokens, np.int64)
        self.bad_words = BadWords(sampling.bad_words) if sampling.bad_words else None
        self.times = None if sampling.timestamps is None else TimestampOrder(sampling.timestamps)
        self.repeats = NoRepeat(sampling.no_repeat, prompt) if sampling.no_repeat else None
        ordered = sampling.forced_first is not None or sampling.forced_last is not None or self.times is not None
        forbidding = sampling.not_first or sampling.min_tokens or self.bad_words or self.repeats
        adjusted = penalized or self.bias or matcher is not None or forbidding or ordered or thoughts is not None
        self.plain = sampling.temperature == 0 and not adjusted and sampling.logprobs is None

    @property
    def closed_early(self) -> bool:
        """Whether the end of the answer was forced."""
        return self.closer is not None and self.closer.begun

    @property
    def forced(self) -> int | None:
        """The token that comes next because it is the first or the last one."""
        if self.drawn == self.most - 1 and self.sampling.forced_last is not None:
            return self.sampling.forced_last
        return self.sampling.forced_first if self.drawn == 0 else None

    @property
    def stuck(self) -> bool:
        """Whether the answer cannot be brought to its end: going on is no use."""
        return self.closer is not None and self.closer.stuck

    def accept(self, token: int) -> bool:
        """Note the sampled token. True when the grammar is complete, and nothing may follow or its end was forced."""
        self.drawn += 1
        if self.seen is not None:
            self.seen.add(token)
        if self.closer is not None:
            self.closer.accept(token)
        if self.bad_words is not None:
            self.bad_words.accept(token)
        if self.repeats is not None:
            self.repeats.accept(token)
        if self.times is not None:
            self.times.accept(token)
        if self.thoughts is not None:
            self.thoughts.accept(token)
        finished = self.matcher is not None and self.matcher.consume(token)
        return finished or (self.closer is not None and self.closer.done)

    def choose(self, row_Y: Row) -> int | None:
        """None when no token is possible: a failed grammar, or numbers that are none."""
        if (token := self.forced) is not None:
            return token
        if self.closed_early and self.closer is not None:
            return self.closer.next_token()
        forced = self.thoughts.next_token if self.thoughts is not None else None
        if forced is not None and self.matcher is not None:
            self.matcher.end_character(forced)
        token = self._sample(row_Y) if forced is None else forced
        if token is None or self.closer is None or self.matcher is None:
            return token
        return self.closer.choose(self.matcher, token, self.sampling.stop_tokens)

    def _sample(self, row_Y: Row) -> int | None:
        try:
            row_Y = self._adjusted(row_Y)
        except GrammarFailed as error:
            self.failure = str(error)
            return None
        token = int(row_Y.argmax())
        if not math.isfinite(row_Y[token]):
            return None
        if self.sampling.temperature == 0:
            return token
        return draw(row_Y, self.sampling, uniform(self.seed, self.drawn))

    def logprob(self, row_Y: Row, token: int) -> TokenLogprob | None:
        return None if self.sampling.logprobs is None else token_logprob(row_Y, token, self.sampling.logprobs, self.sampling.scored)

    def _adjusted(self, row_Y: Row) -> Row:
        """Bias, penalties, grammar and forbidden tokens; a copy if anything changes."""
        bias, seen, forbidden = self.bias, self.seen, self.forbidden()
        if bias is None and seen is None and self.matcher is None and self.times is None and not forbidden:
            return row_Y
        row_Y = row_Y.copy()
        if bias is not None:
            row_Y[bias[0]] += bias[1]
        if seen is not None:
            seen.penalize(row_Y, self.sampling)
        if self.matcher is not None:
            row_Y[~self.matcher.allowed(self.sampling.stop_tokens)[: len(row_Y)]] = -np.inf
        for tokens in forbidden:
            _forbid(row_Y, tokens)
        if self.times is not None:
            self.times.restrict(row_Y)
        return row_Y

    def forbidden(self) -> list[NDArray[np.int64]]:
        """Tokens that must not come next."""
        reopening = self.thoughts.reopening if self.thoughts is not None else None
        found = [words.forbidden() for words in (self.bad_words, reopening, self.repeats) if words is not None]
        if self.drawn == 0 and self.sampling.not_first:
            found.append(np.array(self.sampling.not_first, np.int64))
        return [*found, self.stop] if self.drawn < self.sampling.min_tokens else found


def _merged_bias(bias: Sequence[tuple[int, float]]) -> tuple[NDArray[np.int64], Row] | None:
    """Tokens, each once, and what is added to each one's logit."""
    merged: dict[int, float] = {}
    for token, value in bias:
        merged[token] = merged.get(token, 0.0) + value
    return (np.fromiter(merged, np.int64), np.fromiter(merged.values(), np.float32)) if merged else None


def _forbid(row_Y: Row, tokens: NDArray[np.int64]) -> None:
    """Changes the row in place, unless nothing would be left. Some checkpoints list stop tokens beyond their vocabulary."""
    tokens = tokens[tokens < len(row_Y)]
    kept = row_Y[tokens]
    row_Y[tokens] = -np.inf
    if row_Y.max() == -np.inf:
        row_Y[tokens] = kept


class TokenCounts:
    """Which tokens occurred, and how often they were generated, kept as arrays that grow."""

    def __init__(self, prompt: Sequence[int]) -> None:
        self._place: dict[int, int] = {}
        self._ids = np.empty(256, np.int64)
        self._generated = np.zeros(256, np.float32)
        for token in prompt:
            self._slot(token)

    def add(self, token: int) -> None:
        slot = self._slot(token)
        self._generated[slot] += 1

    def penalize(self, row_Y: Row, s: Sampling) -> None:
        """Changes the row in place."""
        ids, count = self._ids[: len(self._place)], self._generated[: len(self._place)]
        x = row_Y[ids]
        x = np.where(x > 0, x / s.repetition_penalty, x * s.repetition_penalty)
        row_Y[ids] = x - s.frequency_penalty * count - s.presence_penalty * (count > 0)

    def _slot(self, token: int) -> int:
        slot = self._place.setdefault(token, len(self._place))
        if slot == len(self._ids):
            self._ids = np.concatenate([self._ids, np.empty_like(self._ids)])
            self._generated = np.concatenate([self._generated, np.zeros_like(self._generated)])
        self._ids[slot] = token
        return slot


SampledToken = tuple[int | None, TokenLogprob | None]


def choose(logits_SY: Tensor, samplers: Sequence[TokenSampler]) -> list[SampledToken]:
    """One token per row; float32 logits on any device. A row without a possible token gives None."""
    if all(sampler.plain for sampler in samplers):
        return _greedy(logits_SY)
    rows_SY: NDArray[np.float32] = logits_SY.cpu().numpy()
    return [_choose_row(row_Y, sampler) for row_Y, sampler in zip(rows_SY, samplers, strict=True)]


def choose_each(logits_SY: Tensor, samplers: Sequence[TokenSampler], counts: Sequence[int]) -> list[Iterator[SampledToken]]:
    """`counts`: rows of each sampler, one behind another. A row's token is chosen when it is asked for, once the sampler has accepted
    those before."""
    if all(sampler.plain for sampler in samplers):
        tokens = iter(_greedy(logits_SY))
        return [iter(list(islice(tokens, count))) for count in counts]
    rows = iter(logits_SY.cpu().numpy())
    return [_choose_rows(list(islice(rows, count)), sampler) for sampler, count in zip(samplers, counts, strict=True)]


def _choose_rows(rows_SY: list[Row], sampler: TokenSampler) -> Iterator[SampledToken]:
    return (_choose_row(row_Y, sampler) for row_Y in rows_SY)


def _greedy(logits_SY: Tensor) -> list[SampledToken]:
    if logits_SY.is_cuda:
        best_S = logits_SY.argmax(-1)
        sane = logits_SY.gather(1, best_S[:, None]).isfinite().flatten().tolist()
        return [(token if ok else None, None) for token, ok in zip(best_S.tolist(), sane, strict=True)]
    rows_SY = logits_SY.numpy()
    tokens = rows_SY.argmax(1).tolist()
    return [(token if math.isfinite(rows_SY[i, token]) else None, None) for i, token in enumerate(tokens)]


def _choose_row(row_Y: Row, sampler: TokenSampler) -> SampledToken:
    token = sampler.choose(row_Y)
    return token, None if token is None else sampler.logprob(row_Y, token)


def uniform(seed: int, count: int) -> float:
    """A number in [0, 1) that depends on both and nothing else."""
    digest = blake2b(f"{seed}:{count}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) * 2.0**-53


def draw(row_Y: Row, s: Sampling, u: float) -> int:
    """The token at `u` of the distribution that temperature, top_k, top_p and min_p leave. The row's maximum is finite."""
    z_Y = row_Y - row_Y.max()
    with np.errstate(over="ignore"):
        z_Y *= np.float32(1 / max(s.temperature, 1e-6))
    if not s.top_k and s.top_p >= 1 and not s.min_p:
        return _invert_blocks(np.exp(z_Y, out=z_Y), u)
    ids = filter_tokens(z_Y, s)
    return int(ids[_invert(np.exp(z_Y[ids]), u)])


def filter_tokens(z_Y: Row, s: Sampling) -> NDArray[np.int64]:
    """Ids that the filters leave, ascending. The maximum of z_Y is 0. Only as many candidates are sorted as it takes
    to be sure: those above a threshold, which falls until they hold top_k tokens or top_p of the mass."""
    total = float(np.exp(z_Y).sum()) if s.top_p < 1 and not s.top_k else None
    ids, weights = _candidates(z_Y, s, total)
    ids, weights = _ranked(ids, weights, s.top_k or len(ids))
    if s.top_p < 1:
        mass = np.cumsum(weights, dtype=np.float64) / (total or weights.sum())
        weights = weights[: int(np.searchsorted(mass, s.top_p)) + 1]
    count = int(np.count_nonzero(weights >= s.min_p * weights[0]))
    return np.sort(ids[:count])


def _candidates(z_Y: Row, s: Sampling, total: float | None) -> tuple[NDArray[np.int64], Row]:
    """Ids and weights, in vocabulary order."""
    depth = 4.0 if s.top_k or total is not None else -math.log(s.min_p) + 1e-3
    while True:
        ids = np.flatnonzero(z_Y >= -depth)
        weights = np.exp(z_Y[ids])
        if depth > 100 or (len(ids) >= s.top_k and (total is None or weights.sum() >= s.top_p * total)):
            return ids, weights
        depth = depth + 3 if depth < 40 else math.inf


def _invert(weights: Row, u: float) -> int:
    """The index at which the running sum first exceeds u times the whole."""
    mass = np.cumsum(weights, dtype=np.float64)
    return min(int(np.searchsorted(mass, u * mass[-1], side="right")), int(np.flatnonzero(weights)[-1]))


def _invert_blocks(weights: Row, u: float) -> int:
    """`_invert` for a whole vocabulary: first the block, then the place within it."""
    whole = len(weights) - len(weights) % BLOCK
    blocks = np.append(weights[:whole].reshape(-1, BLOCK).sum(1), weights[whole:].sum())
    mass = np.cumsum(blocks, dtype=np.float64)
    block = min(int(np.searchsorted(mass, u * mass[-1], side="right")), int(np.flatnonzero(blocks)[-1]))
    rest = u * mass[-1] - (mass[block - 1] if block else 0.0)
    return block * BLOCK + _invert(weights[block * BLOCK : (block + 1) * BLOCK], max(0.0, rest / blocks[block]))


def token_logprob(row_Y: Row, token: int, top: int, scored: Sequence[int] = ()) -> TokenLogprob:
    """Of the model's own distribution. `scored`: further tokens whose logprobs are told."""
    highest = row_Y.max()
    norm = float(highest) + math.log(float(np.exp(row_Y - highest).sum()))
    best = tuple((int(t), float(row_Y[t]) - norm) for t in most_likely(row_Y, top)) if top else ()
    others = tuple(float(row_Y[other]) - norm for other in scored)
    return TokenLogprob(token=token, logprob=float(row_Y[token]) - norm, top=best, scored=others)


def most_likely(row_Y: Row, count: int) -> NDArray[np.int64]:
    """The `count` highest, highest first; equal ones in vocabulary order."""
    depth, highest = 8.0, row_Y.max()
    while len(ids := np.flatnonzero(row_Y >= highest - depth)) < min(count, len(row_Y)):
        depth = depth * 2 if depth < 1e3 else math.inf
    return _ranked(ids, row_Y[ids], count)[0]


def _ranked(ids: NDArray[np.int64], values: Row, count: int) -> tuple[NDArray[np.int64], Row]:
    """The `count` highest, highest first; equal ones in vocabulary order, as `ids` are. Sorts as few as it can."""
    if len(ids) > 4 * count:
        few = values >= np.partition(values, -count)[-count]
        ids, values = ids[few], values[few]
    order = np.argsort(-values, kind="stable")[:count]
    return ids[order], values[order]
