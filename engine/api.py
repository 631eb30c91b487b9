"""The border between text and tokens: token ids in, token ids out. Imports no torch and no implementation."""

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.vision import ImageTiles as ImageTiles
from engine.vision import PlacedImage as PlacedImage
from engine.vision import VisionInfo as VisionInfo
from engine.vision import digest_of

# what the output must look like. Compiled by the engine; one that cannot be compiled raises InvalidGrammar


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonSchema:
    schema: str  # a JSON Schema, as JSON text
    lenient: bool = False  # keywords that cannot be enforced are left out, and the output may not fit them


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonObject:
    """Any JSON object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regex:
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lark:
    """In the Lark syntax of llguidance (its docs/syntax.md), special tokens as <[ID]>."""

    source: str


Grammar = JsonSchema | JsonObject | Regex | Choice | Lark

IDLE_PRIORITY = 2**31  # of what is computed in idle time: only while nothing of another priority is running or waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Brings what a grammar has begun to its end before the tokens run out, with the fewest tokens that were found to do so, and once
    the answer has gone in circles. An answer that was brought to its end has finish="length", and so has one that goes in circles and
    for which no end was found."""

    marks: tuple[str, ...] = ()  # strings that end a text where a quotation mark does not


class ThoughtWatch(Protocol):
    """Follows one answer, told of each token, and tells which are thoughts: where these begin and end is a matter of text."""

    @property
    def thinking(self) -> bool:
        """The thoughts have begun and not ended."""
        ...

    @property
    def count(self) -> int:
        """Tokens of thoughts so far, without the marks around them."""
        ...

    def accept(self, token: int) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ThoughtBudget:
    """A limit of a model's thoughts: once they have so many tokens, `end` is written, whatever the model wants (Qwen3's technical report,
    arXiv 2505.09388, section 4.7). Then no more begin."""

    tokens: int
    end: tuple[int, ...]  # what ends them; a grammar must allow it
    reopening: tuple[tuple[int, ...], ...] = ()  # sequences of tokens with which more would begin
    watch: Callable[[], ThoughtWatch] = field(compare=False, repr=False)  # called once for each answer, used in the engine's thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Beams:
    """The `width` most likely answers so far are continued together, each in a place of its own, and the best that has ended is the
    answer (Lowerre 1976; as transformers does it). How good one of n tokens is: the sum of its logprobs, divided by
    n ** `length_penalty`. `until`: as many have ended as are continued ("full"), or moreover the best that goes on is no better as
    it is ("likely"), or could not become better however long it grew ("certain")."""

    width: int
    length_penalty: float = 1.0
    until: Literal["full", "likely", "certain"] = "likely"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamps:
    """Tokens that are times of what an encoder has heard: `first` and those behind it, `never` being none of them (Radford et al. 2022,
    arXiv 2212.04356, section 2.3). An answer begins with one; they come in pairs, around text or before the answer's end, none is before
    the one before it, a new pair begins after the last one began, and a time is chosen where all of them together are likelier than any
    other token."""

    first: int  # of 0 s
    end: int  # the token that ends an answer
    never: int | None = None  # the one that asks for an answer without times
    latest_start: int | None = None  # how many behind `first` the first one may be; None: any


@dataclass(frozen=True, slots=True, kw_only=True)
class Denoising:
    """How an answer is found by a model that denoises (`ModelInfo.denoiser`): of a block of masked tokens, each step accepts some, until
    none is left (LLaDA: Nie et al. 2025, arXiv 2502.09992; order: Dream, arXiv 2508.15487). A block that is found is final."""

    block: int | None = None  # tokens; None: as the model says, or 32
    steps: int | None = None  # for a block; None: one for each of its tokens
    threshold: float | None = None  # accept all tokens that are as likely, one at least, until none is left; None: as `steps` says
    order: Literal["confidence", "entropy", "margin", "random"] = "confidence"  # which tokens first
    canvas: int = 128  # masked tokens that a model sees whose tokens see the whole text; an answer that fills them gets as many more


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen. Applied in this order: forced_first and forced_last, logit_bias, penalties, grammar, what is forbidden
    (min_tokens, bad_words, not_first, no_repeat, timestamps), temperature, top_k, top_p, min_p. temperature 0 is greedy. The same seed
    gives the same tokens whatever else is in the batch. What is forbidden is allowed where the grammar leaves nothing else."""

    max_tokens: int  # 0: the prompt is computed (and cached), and finish="length"
    min_tokens: int = 0  # no stop token before so many
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0  # 0: all
    min_p: float = 0.0
    presence_penalty: float = 0.0  # over generated tokens, as OpenAI defines it
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0  # over prompt and generated tokens (Keskar et al. 2019, arXiv 1909.05858)
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int | None = None
    stop_tokens: frozenset[int] = frozenset()  # generating one ends the sequence with finish="stop"
    bad_words: tuple[tuple[int, ...], ...] = ()  # sequences of tokens that must not be generated
    not_first: tuple[int, ...] = ()  # tokens that must not be generated first
    no_repeat: int = 0  # no sequence of so many tokens comes twice in prompt and answer (Paulus et al. 2017, arXiv 1705.04304); 0: any may
    forced_first: int | None = None  # the first token, as the language that a translation is to be in; not with a grammar
    forced_last: int | None = None  # the last one where the answer is as long as it may be; not with a grammar
    timestamps: Timestamps | None = None  # not with a grammar
    denoising: Denoising | None = None  # None: as is usual; of no model that continues texts
    beams: Beams | None = None  # greedy only, without grammar, bias, penalties and logprobs
    logprobs: int | None = None  # None: none; n: the chosen token's logprob and the n most likely alternatives
    scored: tuple[int, ...] = ()  # with logprobs: tokens whose own come along each time (`TokenLogprob.scored`)
    prompt_logprobs: int | None = None  # the same for the tokens of the prompt, which is then computed without the prefix cache


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
    images: tuple[PlacedImage, ...] = ()  # in the order of their places, of a model with eyes (`ModelInfo.vision`)
    # what a model with a reader (`ModelInfo.reader`) reads before it goes on with `tokens`; of no other
    encoder: tuple[int, ...] | Frames = ()
    grammar: Grammar | None = None
    priority: int = 0  # lower runs first; see also IDLE_PRIORITY
    closing: Closing | None = None  # with a grammar
    thoughts: ThoughtBudget | None = None
    owner: str = ""  # on whose behalf; what is cached for one owner, no other can tell (but for shared prefixes)
    # told, in any thread, of the processor seconds that compiling the grammar took; no part of what is asked
    charge: Callable[[float], None] | None = field(default=None, compare=False, repr=False)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    waiting: int = 0
    running: int = 0
    pages_free: int = 0
    pages_used: int = 0
    pages_cached: int = 0  # unreferenced, but still answering prefix hits
    pages_total: int = 0
    pages_bytes: int = 0  # that all pages take
    slots_free: int = 0  # the same of states, which stay as large as they are: a sequence has one, or two
    slots_used: int = 0
    slots_cached: int = 0
    slots_total: int = 0
    slots_bytes: int = 0
    prompt_tokens: int = 0  # these and below: totals since start
    cached_tokens: int = 0
    generated_tokens: int = 0
    images_read: int = 0
    images_found: int = 0  # that were asked about again, and whose rows were remembered
    preemptions: int = 0
    aborts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadsTokens:
    vocab: int  # of the input


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadsFrames:
    """Every input has as many frames, of as many bins each."""

    frames: int
    bins: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderInfo:
    """Of a model that reads an input before it answers (`Request.encoder`)."""

    context: int  # rows of the longest input: its tokens, or what an encoder makes of its frames
    reads: ReadsTokens | ReadsFrames
    start: int | None = None  # the token that its answers begin with (decoder_start_token_id), for the text side to put into `tokens`
    heads: tuple[int, ...] = ()  # of each layer, how many look at the input


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoiserInfo:
    """Of a model whose answers are denoised, block by block."""

    block: int | None  # tokens, where the model allows one size only; its context is a multiple of it


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What the text side needs to know of a loaded model."""

    context: int  # prompt and completion together, in tokens
    vocab: int
    architecture: str = ""
    parameters: int | None = None  # None: not known
    reader: ReaderInfo | None = None
    vision: VisionInfo | None = None
    denoiser: DenoiserInfo | None = None
    extra: dict[str, str] = field(default_factory=dict[str, str])


class EngineError(Exception):
    """Base of what `generate` raises before its first delta; the message is meant for the caller of the API."""


class PromptTooLong(EngineError): ...


class InvalidGrammar(EngineError): ...


class QueueFull(EngineError): ...


class Unsupported(EngineError):
    """This engine cannot do what the request asks for."""


class EngineUnavailable(EngineError):
    """It cannot be reached now, or not any more; `Engine.fault` tells for how long. Also raised after the first delta."""


class EngineStopped(EngineError):
    """The engine thread has died or is shutting down."""


class Engine(Protocol):
    @property
    def info(self) -> ModelInfo: ...

    @property
    def alive(self) -> bool:
        """False for good once the engine has failed or been closed; then `generate` raises EngineStopped."""
        ...

    @property
    def fault(self) -> str | None:
        """Why it answers nothing now, which mends itself; None: it does."""
        ...

    def generate(self, request: Request) -> AsyncIterator[Delta]:
        """Closing the iterator (`aclose`) aborts the request within one step and frees its memory. Raises EngineError
        before the first delta."""
        ...

    def stats(self) -> Stats: ...

    async def close(self) -> None: ...


class Aligner(Protocol):
    """What an engine is, too, whose model reads an input and can say where it looks in it."""

    async def align(self, request: Request, heads: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        """[H, T, R]: what share of its attention each of `heads` (layer, head), at each of `request.tokens`, gives each of the R rows that
        the encoder makes of `request.encoder`. Nothing is generated. Raises EngineError."""
        ...


# encoders: token ids in, one row of numbers out


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """What an encoder reads at once, special tokens included. `segments`: BERT's token types; (): all 0."""

    tokens: tuple[int, ...]
    segments: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """An image as an encoder reads it: float32 [channels, height, width], resized and scaled as it was trained on."""

    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ReadsImages:
    """Of an encoder whose vectors of texts and images lie in one space: sides of an image are multiples of `patch` pixels, and at most
    `rows` are made of it, of which one is there before the first patch if `class_token`."""

    channels: int
    patch: int
    rows: int
    class_token: bool

    def rows_of(self, image: Pixels) -> int:
        _, height, width = image.values.shape
        return (height // self.patch) * (width // self.patch) + self.class_token


@dataclass(frozen=True, slots=True)
class Judge:
    """How the product of the vectors of a text and an image says that they fit: times `scale`, plus `offset`, and then a softmax over
    texts, or a sigmoid for each."""

    kind: Literal["softmax", "sigmoid"]
    scale: float
    offset: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderInfo:
    """`output` "vector": an embedding; "score": the logits of a classifier, `width` of them. `images`: of those that read them, too, or
    nothing else; `judge`: where their vectors can be compared with those of texts."""

    output: Literal["vector", "score"]
    width: int
    max_tokens: int  # of one sentence; 0: it reads none
    vocab: int
    pooling: str  # "mean", "cls" ...; with "+normalize"; "" of a classifier
    architecture: str = ""
    images: ReadsImages | None = None
    judge: Judge | None = None


class Encoder(Protocol):
    @property
    def info(self) -> EncoderInfo: ...

    @property
    def alive(self) -> bool: ...

    async def embed(self, batch: Sequence[Sentence | Pixels]) -> NDArray[np.float32]:
        """Rows [len(batch), width], in the order of `batch`, the same whatever else is computed beside it. Sentences of
        several calls are computed together. Cancelling the call takes back what has not begun. Raises EngineError:
        PromptTooLong for a sentence over max_tokens, Unsupported for an image that this encoder cannot read, QueueFull, EngineStopped."""
        ...

    async def close(self) -> None: ...


# pictures out of noise


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StartPicture:
    """Where a picture begins instead of noise alone. `strength`, above 0 and at most 1: how much of the way back to noise it is taken."""

    pixels: NDArray[np.uint8]  # [H, W, C], as large as what is asked for
    strength: float
    mask: NDArray[np.bool_] | None = None  # [H, W]: what is to be made anew; the rest stays as it is. None: all of it


@dataclass(frozen=True, slots=True)
class Label:
    """Of a model that was trained on pictures with labels."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTokens:
    """Of a model that reads texts: what the picture is to show, and what it is not to (or the tokens of an empty text), both filled up to
    `ReadsPrompts.context`, special tokens included."""

    tokens: tuple[int, ...]
    negative: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """The same request gives the same picture, whatever else is computed beside it, but for the last digit of a float."""

    prompt: Label | PromptTokens | None  # None: nothing in particular, of a model that is told labels
    steps: int
    seed: int  # of the noise
    guidance: float = 1.0  # how far what the model says is moved away from what it says of no prompt (arXiv 2207.12598); 1: it is not
    size: tuple[int, int] | None = None  # width and height; None: as `ImageInfo` says
    start: StartPicture | None = None
    previews: frozenset[int] = frozenset()  # numbers of steps, from 1, after which the picture is shown as the model sees it by then


@dataclass(frozen=True, slots=True)
class ReadsLabels:
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadsPrompts:
    context: int  # tokens of every prompt
    vocab: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherSizes:
    """Sides are multiples of `multiple`, and there are `pixels` at most."""

    multiple: int
    pixels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    width: int  # pixels, of pictures as the model was trained on
    height: int
    others: OtherSizes | None = None  # None: every picture is as large
    channels: int
    reads: ReadsLabels | ReadsPrompts
    steps: int  # the most
    positions: int  # that the denoiser computes of such a picture: what a token is to a text

    def size_of(self, request: ImageRequest) -> tuple[int, int]:
        """Width and height."""
        return request.size or (self.width, self.height)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageProgress:
    """After `step` of `steps` steps: fewer than were asked for where there is a `StartPicture`, one more where the sampler takes one more.
    The last one has the picture."""

    step: int
    steps: int
    pixels: NDArray[np.uint8] | None = field(default=None, repr=False)  # [H, W, C]

    @property
    def finished(self) -> bool:
        return self.step == self.steps


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStats:
    waiting: int = 0  # pictures, as those below
    running: int = 0
    finished: int = 0  # these and below: totals since start
    aborts: int = 0
    steps: int = 0  # of all pictures


class ImageEngine(Protocol):
    @property
    def info(self) -> ImageInfo: ...

    @property
    def alive(self) -> bool: ...

    def generate(self, request: ImageRequest) -> AsyncIterator[ImageProgress]:
        """One after each step, the last one finished. Closing the iterator aborts the request, within one step. Raises EngineError before
        the first one for a request that cannot be met, naming its field; QueueFull where too many wait; EngineStopped at any time."""
        ...

    def stats(self) -> ImageStats: ...

    async def close(self) -> None: ...
