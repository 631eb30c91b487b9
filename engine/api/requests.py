"""What an engine is asked, and what it answers."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.api.grammars import Closing, Grammar, ThoughtBudget
from engine.api.sampling import Sampling
from engine.api.vision import PlacedImage, digest_of

IDLE_PRIORITY = 2**31  # of what is computed in idle time: only while nothing of another priority is running or waiting


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Rows of numbers that an encoder reads in place of tokens, as those of a spectrogram: float32 [frames, bins]. Equal where their
    contents are."""

    rows: NDArray[np.float32]
    digest: bytes = field(init=False, repr=False)  # of the contents

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", digest_of(self.rows.shape, self.rows))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frames) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    tokens: tuple[int, ...]
    sampling: Sampling
    images: tuple[PlacedImage, ...] = ()  # in the order of their places, of a vision-language model (`ModelInfo.vision`)
    # what a model with a reader (`ModelInfo.reader`) reads before it goes on with `tokens`; of no other
    encoder: tuple[int, ...] | Frames = ()
    grammar: Grammar | None = None
    priority: int = 0  # lower runs first; see also IDLE_PRIORITY
    closing: Closing | None = None  # with a grammar
    thoughts: ThoughtBudget | None = None
    owner: str = ""  # on whose behalf; what is cached for one owner, no other can tell (but for shared prefixes)
    # told, in any thread, of the processor seconds that compiling the grammar took; no part of what is asked
    charge: Callable[[float], None] | None = field(default=None, compare=False, repr=False)
    speculative: bool = True  # False: no token is guessed before it is chosen; the tokens are the same
    salt: str = ""  # what is cached with one, no request of the same owner with another can tell
    # W3C Trace Context, for an engine that asks other servers: headers that go with what it asks; no part of what is asked
    trace: tuple[tuple[str, str], ...] = field(default=(), compare=False, repr=False)


def cache_salt(request: Request) -> str | None:
    """What keeps a request's prefixes apart in the cache of another engine, which is not told who asks. None: nothing does."""
    apart = f"{request.owner}/{request.salt}"
    return hashlib.sha256(apart.encode()).hexdigest() if request.owner or request.salt else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    token: int
    logprob: float  # natural logarithm, of the model's distribution before temperature and filters
    top: tuple[tuple[int, float], ...] = ()  # most likely first
    scored: tuple[float, ...] = ()  # of `Sampling.scored`, in that order


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    prompt: int  # with those that an encoder reads
    completion: int
    cached: int  # prompt tokens that came from the prefix cache, or that an encoder had read before
    queued: float | None = field(default=None, compare=False)  # seconds from `generate` to its first step; None: not known


Finish = Literal["stop", "length", "abort"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """New tokens of one sequence. The last delta carries `finish`; the first and the last carry `usage` so far (who stops
    reading early knows the prompt's share by then). A stop token is counted in usage.completion and appears in `tokens`
    (the text side drops it). `forced`: the engine is bringing the answer to its end (`Closing`)."""

    tokens: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    prompt_logprobs: tuple[TokenLogprob, ...] = ()  # in the first delta: of the prompt's second to last token, each after those before it
    finish: Finish | None = None
    usage: Usage | None = None
    forced: bool = False
