"""Mixers whose tokens look at few others, chosen by more than a mask of positions."""

from typing import ClassVar

from models.spec.masks import Neighbourhood
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
