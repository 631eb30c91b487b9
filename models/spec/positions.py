"""Where a token stands: rotary angles and how they are stretched, biases on the scores, rows added to the embedding."""

from math import floor, log2
from typing import Literal

from models.spec.norms import Norm
from models.spec.value import spec


@spec
class Linear:
    """Position interpolation: every position divided by `factor` (Chen et al. 2023, arXiv 2306.15595)."""

    factor: float


@spec
class Yarn:
    """NTK-by-parts interpolation (Peng et al. 2023, arXiv 2309.00071)."""

    factor: float
    original: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    truncate: bool = True


@spec
class Llama3:
    """Llama 3.1's wavelength-dependent frequency scaling."""

    factor: float
    original: int
    low_freq_factor: float
    high_freq_factor: float


@spec
class Divided:
    """Every frequency divided by a factor of its own: how a GGUF file states any scaling (its tensor `rope_freqs`)."""

    factors: tuple[float, ...]


@spec
class LongRope:
    """Every frequency divided by a factor of its own, which is another one in sequences of more than `original` tokens
    (Ding et al. 2024, arXiv 2402.13753); sines and cosines multiplied by an amplitude."""

    original: int
    short: tuple[float, ...]
    long: tuple[float, ...]
    short_amplitude: float
    long_amplitude: float


@spec
class DynamicNtk:
    """The base grows with the sequence beyond `original` tokens. It grows here in steps, at each doubling, since what is
    remembered was rotated by one base (bloc97 & emozilla 2023)."""

    original: int
    factor: float


Scaling = Linear | Yarn | Llama3 | Divided | LongRope | DynamicNtk


@spec
class Sections:
    """Of a place with several coordinates, `counts` says how many frequencies turn with each. One coordinate's lie behind those of
    another (multimodal RoPE: Qwen2-VL, arXiv 2409.12191), or they take turns as far as `counts` goes, and the first has what is left
    (Qwen3-VL, arXiv 2511.21631)."""

    counts: tuple[int, ...]
    interleaved: bool = False


@spec
class Repeated:
    """Each of `count` coordinates turns dimensions of its own, with the frequencies that a head of so few dimensions has."""

    count: int = 2


@spec
class Rope:
    """Rotary embedding of the first `dim` of a head, halves rotated together (Su et al. 2021, arXiv 2104.09864).
    Checkpoints that rotate neighbours have their rows permuted when they are loaded."""

    dim: int
    base: float = 10_000.0
    scaling: Scaling | None = None
    axes: Sections | Repeated | None = None  # None: positions are numbers


def rope_turns(rope: Rope) -> tuple[tuple[int, int], ...]:
    """For each frequency, which of a place's coordinates turns it, and which of its table's frequencies it is."""
    half = rope.dim // 2
    match rope.axes:
        case None:
            return tuple((0, f) for f in range(half))
        case Repeated(count=count):
            return tuple((f // (half // count), f % (half // count)) for f in range(half))
        case Sections(counts=counts, interleaved=True):
            return tuple((f % len(counts) if f < len(counts) * counts[f % len(counts)] else 0, f) for f in range(half))
        case Sections(counts=counts):
            return tuple((axis, f) for f, axis in enumerate(axis for axis, count in enumerate(counts) for _ in range(count)))


def rope_lengths(rope: Rope, context: int) -> tuple[int, ...]:
    """The longest sequences that its tables serve, in order: most have one table, for all positions of the context."""
    match rope.scaling:
        case LongRope(original=original):
            return (context,) if original >= context else (original, context)
        case DynamicNtk(original=original):
            doublings = [original]
            while doublings[-1] < context:
                doublings.append(2 * doublings[-1])
            return (*doublings[:-1], context)
        case _:
            return (context,)


def rope_start(rope: Rope, context: int, length: int) -> int:
    """The row at which the angles of a sequence begin that may come to have `length` tokens, where the tables lie behind
    one another."""
    return sum(most for most in rope_lengths(rope, context)[:-1] if most < length)


@spec
class Alibi:
    """-slope * (distance to the key) is added to a head's scores (Press et al. 2021, arXiv 2108.12409). `max_bias`: the
    last of 2^n heads has slope 2^-max_bias. `scaled`: the bias is multiplied by the scores' scale, as Falcon does."""

    max_bias: float = 8.0
    scaled: bool = False


def alibi_slopes(heads: int, max_bias: float = 8.0) -> tuple[float, ...]:
    """One for each head. Where their number is no power of two: those of the power below, then every other one of the
    power above."""
    below = 2 ** floor(log2(heads))
    slopes = [2 ** (-max_bias * h / below) for h in range(1, below + 1)]
    between = [2 ** (-max_bias * h / (2 * below)) for h in range(1, 2 * (heads - below), 2)]
    return (*slopes, *between)


@spec
class RelativeBias:
    """A number for each head and bucket of distances, added to the scores (T5; Raffel et al. 2019, arXiv 1910.10683): half
    of the buckets hold one distance each, the others ever more, up to `max_distance` and beyond. With a mask that looks ahead,
    half of all buckets are for keys further on. `shared`: one table for all layers, otherwise each has its own."""

    buckets: int = 32
    max_distance: int = 128
    shared: bool = True


@spec
class Disentangled:
    """Contents and positions look at each other (DeBERTa; He et al. 2020, arXiv 2006.03654): with row b of a table for the
    distance from query to key, a score is (q·k + q·key(b) + query(b)·k) * scale, without its second term if not `keys`,
    without its third if not `queries`. The table, which all layers share, has 2 * `span` rows: one for each distance below
    `span`, or beyond `span` / 2 one for ever more of them, up to `max_distance` if that is given. `shared_projections`: key and
    query of a row are made by the matrices that make those of the contents."""

    span: int
    max_distance: int | None = None
    keys: bool = True
    queries: bool = True
    shared_projections: bool = False
    norm: Norm | None = None  # of the table's rows


@spec
class Sinusoidal:
    """Added to the embedding: sine and cosine of p / base^(2i/D) for all i < D/2, side by side (Vaswani et al. 2017, arXiv
    1706.03762) or all sines and then all cosines. `inclusive`: with exponents i / (D/2 - 1), whose last is 1 (tensor2tensor). The first
    token stands at position `start`."""

    base: float = 10_000.0
    order: Literal["interleaved", "halves"] = "interleaved"
    inclusive: bool = False
    start: int = 0


@spec
class Learned:
    """A row of its own for each of `count` positions, added to the embedding."""

    count: int


@spec
class Axial:
    """Positions in lines of `columns`: a row of numbers for the line beside one for the place in it, `row_dim` and
    `column_dim` wide, added to the embedding (Reformer, arXiv 2001.04451)."""

    rows: int
    columns: int
    row_dim: int
    column_dim: int

    @property
    def count(self) -> int:
        return self.rows * self.columns
