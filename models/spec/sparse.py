"""Mixers whose tokens look at few others, chosen by more than a mask of positions."""

from typing import ClassVar

from models.spec.masks import Neighbourhood, Ring, Sorted
from models.spec.value import spec


@spec
class FirstTokens:
    """The first `count` tokens of every sequence."""

    count: int = 1


@spec
class QuestionTokens:
    """Those before the first `separator` of a sequence; all, where there is none."""

    separator: int


GlobalTokens = FirstTokens | QuestionTokens


@spec
class LocalGlobalAttention:
    """Longformer (Beltagy et al. 2020, arXiv 2004.05150): a token sees its neighbours and the sequence's global tokens
    (`Arch.global_tokens`); these see the whole sequence, by queries, keys and values of projections of their own."""

    heads: int
    head_dim: int
    mask: Neighbourhood
    bias: bool = False  # on q, k and v of both kinds
    out_bias: bool = False
    position: ClassVar[None] = None


@spec
class LshAttention:
    """Reformer (Kitaev et al. 2020, arXiv 2001.04451): one projection is query and key, the key cut to length 1; a token sees
    those near to it in the order of their buckets, and itself only where it sees nobody else. In each of `rounds` a key's
    bucket is the largest of R x and -R x, where R is random (by `seed`, the same in all layers) and has half as many rows
    as there are buckets: several `buckets` are the factors of their number."""

    heads: int
    head_dim: int
    mask: Sorted | Ring
    rounds: int
    buckets: tuple[int, ...]
    seed: int = 0
    position: ClassVar[None] = None
