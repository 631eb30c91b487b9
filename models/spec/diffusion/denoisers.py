"""Models that say of a noisy picture what is noise in it."""

from models.spec.ffn import MLP
from models.spec.mixers import Attention
from models.spec.value import spec


@spec
class Sinusoids:
    """A number as `columns` cosines and sines of it, at frequencies that fall from 1 towards 1/10,000; with `closed` they reach it."""

    columns: int = 256
    closed: bool = False


@spec
class DitLayer:
    """x + gate * attention(shifted norm(x)), then the same with the feed-forward part. Scales, shifts and gates of both come from the time
    and the label (adaLN-Zero: Peebles & Xie 2022, arXiv 2212.09748, section 3.2); norms have no weights."""

    attention: Attention
    ffn: MLP
    eps: tuple[float, float] = (1e-6, 1e-5)  # of the norms


@spec
class Dit:
    """A transformer over patches of a picture of `side` by `side`, which has been told a label (arXiv 2212.09748). Label number `labels`
    means none. What comes out may have more channels than the noise: the rest is a variance, which no sampler reads."""

    channels: int
    out_channels: int
    side: int
    patch: int
    dim: int
    layers: tuple[DitLayer, ...]
    labels: int
    times: Sinusoids = Sinusoids(closed=True)


Denoiser = Dit
