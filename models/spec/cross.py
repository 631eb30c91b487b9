"""How a decoder looks at what its encoder has read, and what an encoder reads."""

from models.spec.images import Patches
from models.spec.masks import Full
from models.spec.mixers import Attention, QKNorm
from models.spec.value import spec


@spec
class CrossAttention:
    """Queries are a layer's own rows, keys and values those that the encoder's last norm returned for the whole input (Vaswani et al.
    2017, arXiv 1706.03762, section 3.2.3). They are made once for an input, and every token looks at all of them."""

    heads: int
    kv_heads: int
    head_dim: int
    bias: bool = False  # on q, k, v
    out_bias: bool = False
    qk_norm: QKNorm | None = None
    scale: float | None = None  # None: head_dim ** -0.5

    @property
    def scores(self) -> Attention:
        """The ordinary attention that it is once its queries, keys and values are made."""
        return Attention(heads=self.heads, kv_heads=self.kv_heads, head_dim=self.head_dim, mask=Full(), scale=self.scale)


# what an encoder reads


@spec
class SharedEmbedding:
    """Tokens, whose rows are those of the decoder's embedding."""


@spec
class OwnEmbedding:
    """Tokens of a vocabulary of the encoder's own."""

    vocab: int


FRAME_TAPS = 3


@spec
class Frames:
    """Rows of `bins` numbers each, as those of a spectrogram. A convolution over three of them, and another one over three of its rows, at
    every second one, make rows of the encoder's width, each with gelu behind it (Whisper: Radford et al. 2022, arXiv 2212.04356). Every
    input is as long as may be: two frames for each of the encoder's rows."""

    bins: int


EncoderInput = SharedEmbedding | OwnEmbedding | Frames | Patches
