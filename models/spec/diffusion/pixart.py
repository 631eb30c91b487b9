"""A transformer over a picture's patches that looks at a text's rows (PixArt-alpha: Chen et al. 2023, arXiv 2310.00426)."""

from models.spec.ffn import MLP
from models.spec.mixers import Attention
from models.spec.value import spec


@spec
class PixArt:
    """One matrix makes of the time what shifts, scales and gates all layers, to which each adds numbers of its own (adaLN-single). Patches
    lie `spread` times as close to one another as in the pictures of its first training. `sized`: it is also told how large the picture is
    to be, and how much higher than wide. `text`: columns of the text's rows."""

    channels: int
    out_channels: int
    side: int
    patch: int
    dim: int
    layers: int
    attention: Attention
    ffn: MLP
    text: int
    spread: float = 1.0
    sized: bool = False
    eps: float = 1e-6
