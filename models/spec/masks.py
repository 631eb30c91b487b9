"""Who may look at whom. `reach`: how many tokens back, the token itself included; `ahead`: how many tokens further on
(None: all). A cache needs to know no more; models/masks.py says it token by token."""

from typing import ClassVar

from models.spec.value import spec


@spec
class Causal:
    reach: ClassVar[int | None] = None
    ahead: ClassVar[int | None] = 0


@spec
class Window:
    """A token sees itself and the `size - 1` tokens before it."""

    size: int
    ahead: ClassVar[int | None] = 0

    @property
    def reach(self) -> int | None:
        return self.size


@spec
class Chunked:
    """A token sees those before it in its own chunk of `size` tokens (Llama 4) and in the `before` chunks before that
    (Reformer)."""

    size: int
    before: int = 0
    ahead: ClassVar[int | None] = 0

    @property
    def reach(self) -> int | None:
        return self.size * (1 + self.before)


@spec
class Strided:
    """A token sees the `local` nearest ones, itself included, and every `stride`-th before them (Sparse Transformer,
    Child et al. 2019, arXiv 1904.10509)."""

    local: int
    stride: int
    reach: ClassVar[int | None] = None
    ahead: ClassVar[int | None] = 0


@spec
class Fixed:
    """A token sees those before it in its own block of `size`, and the last `summary` of every block before (same paper)."""

    size: int
    summary: int
    reach: ClassVar[int | None] = None
    ahead: ClassVar[int | None] = 0


@spec
class GroupedWindow:
    """A window for each key/value head: `sizes`, one per head."""

    sizes: tuple[int, ...]
    ahead: ClassVar[int | None] = 0

    @property
    def reach(self) -> int | None:
        return max(self.sizes)


@spec
class Full:
    """Every token sees the whole sequence."""

    reach: ClassVar[int | None] = None
    ahead: ClassVar[int | None] = None


@spec
class BlockCausal:
    """A token sees all of its own block of `size` tokens, and all blocks before (block diffusion: Arriola et al. 2025, arXiv
    2503.09573)."""

    size: int
    reach: ClassVar[int | None] = None

    @property
    def ahead(self) -> int | None:
        return self.size - 1


@spec
class Neighbourhood:
    """A token sees itself and `distance` tokens on either side."""

    distance: int

    @property
    def reach(self) -> int | None:
        return self.distance + 1

    @property
    def ahead(self) -> int | None:
        return self.distance


@spec
class BlockSparse:
    """BigBird (Zaheer et al. 2020, arXiv 2007.14062) as it is evaluated: in blocks of `size` tokens, the first and the last see
    all and are seen by all, the others see themselves and their neighbours. The `random` blocks of training are all the
    first one then, whose keys count 1 + `random` times where they are not seen as one of all. Sequences of up to
    (5 + 2 * random) * size tokens see all of themselves."""

    size: int
    random: int
    reach: ClassVar[int | None] = None
    ahead: ClassVar[int | None] = None


@spec
class Ring:
    """A token sees its own chunk of `size` tokens, `before` chunks before and `after` behind it, in a circle: the last chunk
    comes before the first (Reformer's encoder, arXiv 2001.04451). Sequences of more than `least` tokens are as long as the next
    multiple of `multiple`, with tokens at their end that nobody sees; all is seen where that is at most `size`."""

    size: int
    before: int
    after: int
    least: int
    multiple: int
    reach: ClassVar[int | None] = None
    ahead: ClassVar[int | None] = None


@spec
class GridWindow:
    """Of an image: a patch sees those of its own square of `size` * `size` patches, of which the image is cut from its upper left corner
    (Qwen2.5-VL, arXiv 2502.13923)."""

    size: int
    reach: ClassVar[int | None] = None
    ahead: ClassVar[int | None] = None


@spec
class Hubs:
    """Global tokens (`Batch.globals_T`) see the whole sequence, and the others see these alone: rows that fill up an image's (Llama 3.2
    Vision)."""

    reach: ClassVar[int | None] = None
    ahead: ClassVar[int | None] = None


Ahead = Full | BlockCausal | Neighbourhood | BlockSparse | Ring | GridWindow | Hubs  # tokens see some that come after them
Mask = Causal | Window | Chunked | Strided | Fixed | GroupedWindow | Ahead


@spec
class Sorted:
    """Of the tokens up to itself, sorted by their buckets and cut into chunks of `size`, a token sees its own chunk and the
    `before` chunks before, in a circle; all, where there are at most `size`. For `LshAttention` only."""

    size: int
    before: int = 1
    reach: ClassVar[int | None] = None
    ahead: ClassVar[int | None] = 0
