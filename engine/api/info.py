"""What an engine says of itself and of its model."""

from dataclasses import dataclass, field

from engine.api.vision import VisionInfo


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
    drafted_tokens: int = 0  # guessed before they were chosen, and of those chosen
    accepted_tokens: int = 0
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
