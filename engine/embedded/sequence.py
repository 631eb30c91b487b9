"""One answer in the making: its tokens, the pages it holds, and how far it has been computed."""

import time
from typing import NamedTuple

import numpy as np
from torch import Tensor

from engine.api import IDLE_PRIORITY, Delta, Finish, Request, TokenLogprob, Usage
from engine.embedded.memory.page_pool import PAGE
from engine.embedded.sampling.sampler import TokenSampler
from engine.embedded.speculation.pace import Pace
from engine.embedded.step.looks import Looks
from engine.embedded.vision.places import Places
from models.crossing import LookedAt


class Table:
    """One sequence's pages in one layout. Entries first..end-1 are held; those before were freed (-1)."""

    __slots__ = ("end", "first", "pages")

    def __init__(self, width: int) -> None:
        self.pages = np.full(width, -1, np.int32)
        self.first = self.end = 0

    def clear(self) -> None:
        self.pages[: self.end] = -1
        self.first = self.end = 0


class Sequence:
    """`tokens` holds prompt and answer, `length` of them known, `computed` of those in the cache. Each step computes
    some of the others; when none is left, the next token is sampled. Preemption sets `computed` back to 0."""

    __slots__ = (
        "angles",
        "arrived",
        "behind",
        "block",
        "cached",
        "computed",
        "encoded",
        "finish",
        "image_rows",
        "input_key",
        "input_keys",
        "inputs",
        "kept",
        "keys",
        "last",
        "length",
        "limit",
        "looked",
        "looks",
        "pace",
        "places",
        "prompt",
        "prompt_logprobs",
        "published",
        "queued",
        "rank",
        "read",
        "request",
        "room",
        "salt",
        "sampler",
        "shared",
        "slot",
        "spans",
        "stop",
        "tables",
        "target",
        "tokens",
    )

    def __init__(
        self,
        request: Request,
        arrival: int,
        limit: int,
        tables: list[Table],
        sampler: TokenSampler,
        *,
        salt: bytes = b"",
        shared: int = 0,
        angles: bytes = b"",
        inputs: int = 0,
        looks: Looks | None = None,
        block: int | None = None,
        places: Places | None = None,
        spans: tuple[tuple[int, int], ...] = (),
        looked: LookedAt | None = None,
    ) -> None:
        """`limit`: tokens of prompt and answer together at which the answer ends with "length". `salt`: of the page keys; `shared`:
        number of leading tokens whose pages are everybody's (memory.py); `angles`: which of the model's rotary tables it uses, where
        they depend on the limit: keys under other angles are other keys; `inputs`: rows of what its encoder reads, or of its images where
        layers look at these, and `looked` at which; `looks`: how its prompt looks at them is told; `block`: how many tokens are found
        together, where those of one block see one another; `places`: of its tokens, for rotary positions of several coordinates; `spans`:
        tokens that see one another both ways, where each begins and ends."""
        self.request, self.sampler, self.tables = request, sampler, tables
        self.rank = (request.priority, arrival)  # lower runs first, and is preempted last
        self.prompt = self.length = len(request.tokens)
        self.limit = min(limit, self.prompt + request.sampling.max_tokens)
        self.block = block
        self.tokens = np.empty(self.limit if block is None else -(-self.limit // block) * block, np.int64)
        self.tokens[: self.prompt] = request.tokens
        self.last = request.tokens[-1]
        self.stop = request.sampling.stop_tokens
        self.computed = 0
        self.behind = 0  # tokens that the next decode computes again, since their state was lost with a wrong guess behind them
        self.pace = Pace() if request.speculative else None
        self.room = 0  # tokens that the pages held can take
        self.slot = self.target = -1  # where its state is, and where the next step writes it (states.py)
        self.kept: bytes | None = None  # key of the last state kept of the answer
        self.published = 0  # full pages whose keys are known to the pools
        self.cached: int | None = None  # prompt tokens found in the prefix cache at first admission
        self.arrived = time.perf_counter()
        self.queued: float | None = None  # seconds from `arrived` to first admission
        self.inputs, self.looks, self.looked = inputs, looks, looked
        self.encoded = not inputs  # whether what its encoder reads is remembered
        self.read: int | None = None  # those found at first admission
        self.input_key: bytes | None = None  # of all of it, and of its pages (memory/inputs.py)
        self.input_keys: list[bytes] | None = None
        self.keys: list[bytes] = []
        self.salt, self.shared, self.angles = salt, shared, angles
        self.places, self.spans = places, spans
        self.image_rows: dict[int, tuple[Tensor, ...]] = {}  # rows made of its images, by number, as far as the prompt still needs them
        self.prompt_logprobs: list[TokenLogprob] = []  # of the prompt's second token and those after it, as far as computed
        self.finish: Finish | None = None

    @property
    def idle(self) -> bool:
        """Whether it is computed in idle time only."""
        return self.request.priority >= IDLE_PRIORITY

    @property
    def unscored(self) -> int | None:
        """The first token of the prompt whose successor still needs a logprob; None if none does."""
        scored = len(self.prompt_logprobs)
        return scored if self.request.sampling.prompt_logprobs is not None and scored < self.prompt - 1 else None

    @property
    def reusable(self) -> int:
        """Leading tokens that need not be computed where the prefix cache has them."""
        if self.looks is not None:
            return 0
        if self.block is not None:  # a page that ends within a block holds what depends on tokens behind it
            return 0 if PAGE % self.block else self.length // self.block * self.block
        unscored = self.unscored
        return self.length - 1 if unscored is None else unscored

    @property
    def pending(self) -> int:
        """Tokens known, and not computed yet."""
        return self.length - self.computed

    @property
    def decoding(self) -> bool:
        """Whether the next step makes its next token, at the price of few."""
        return self.pending == 1 + self.behind

    @property
    def generated(self) -> int:
        return self.length - self.prompt

    @property
    def usage(self) -> Usage:
        inputs, read = (self.inputs, self.read or 0) if self.looked is None else (0, 0)  # an image is one token
        cached = (self.cached or 0) + read
        return Usage(prompt=self.prompt + inputs, completion=self.generated, cached=cached, queued=self.queued)

    def append(self, token: int, logprob: TokenLogprob | None) -> Delta:
        """Add a sampled token, decide whether the answer is complete, and say so."""
        self.tokens[self.length] = token
        self.length += 1
        self.last = token
        if token in self.stop or self.sampler.accept(token):
            self.finish = "length" if self.sampler.closed_early else "stop"
        elif self.length == self.limit or self.sampler.stuck:
            self.finish = "length"
        logprobs = () if logprob is None else (logprob,)
        if self.generated > 1:
            usage = self.usage if self.finish else None
            return Delta(tokens=(token,), logprobs=logprobs, finish=self.finish, usage=usage, forced=self.sampler.closed_early)
        return Delta(
            tokens=(token,),
            logprobs=logprobs,
            prompt_logprobs=tuple(self.prompt_logprobs),
            finish=self.finish,
            usage=self.usage,
            forced=self.sampler.closed_early,
        )

    def extend(self, end: int, logprobs: list[TokenLogprob]) -> Delta:
        """The tokens up to `end`, which are found already, are the answer's next ones, up to its end: a stop token, or its limit."""
        new, first = self.tokens[self.length : min(end, self.limit)].tolist(), not self.generated
        stops = [i for i, token in enumerate(new) if token in self.stop]
        new = new[: stops[0] + 1] if stops else new
        self.length += len(new)
        self.finish = "stop" if stops else "length" if self.length == self.limit else None
        usage = self.usage if first or self.finish else None
        return Delta(tokens=tuple(new), logprobs=tuple(logprobs[: len(new)]), finish=self.finish, usage=usage)

    def end_prompt(self) -> Delta:
        """The prompt is computed, and no token was wanted."""
        self.finish = "length"
        return Delta(prompt_logprobs=tuple(self.prompt_logprobs), finish="length", usage=self.usage)

    def fail(self) -> Delta:
        """No token is possible. An answer whose grammar fails half way is as long as it can be."""
        self.finish = "length" if self.sampler.failure is not None and self.generated else "abort"
        return Delta(finish=self.finish, usage=self.usage)


class Chunk(NamedTuple):
    """`size` tokens of one sequence, from `computed` on, that a step computes; the last `drafted` of them are guesses at what comes
    behind those known."""

    sequence: Sequence
    size: int
    drafted: int = 0

    @property
    def end(self) -> int:
        return self.sequence.computed + self.size

    @property
    def completes(self) -> bool:
        """Is the next token sampled after this chunk?"""
        seq = self.sequence
        return self.end - self.drafted == seq.length < seq.limit
