"""Blocks that layers share."""

from models.spec.ffn import MLP
from models.spec.mixers import Attention
from models.spec.norms import Norm
from models.spec.value import spec


@spec
class SharedBlock:
    """Attention and a feed-forward part beside a layer (Zamba2, arXiv 2411.15242). They read the layer's rows x and behind them the
    embedding's e, twice as wide: out(ffn(norm(attention(norm([x, e]))))) is added to what the layer's norm reads, but not to x.

    `weights_of`: the number of the earlier layer whose block this one is. What each use has for itself is what it remembers, the
    matrix `out`, and adapters (Hu et al. 2021, arXiv 2106.09685): two matrices with `rank` numbers between them, whose product is
    added to one of the block's, to the feed-forward part's first, and if `adapts_attention` to those of q, k and v."""

    attention: Attention
    ffn: MLP
    rank: int
    adapts_attention: bool = False
    norm: Norm = Norm()
    weights_of: int | None = None
