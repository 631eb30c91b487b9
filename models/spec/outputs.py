"""Outputs: what becomes of the rows behind the last layer."""

from typing import Literal

from models.spec.ffn import MLP, Activation
from models.spec.norms import Norm
from models.spec.value import spec

Pooling = Literal["cls", "max", "mean", "mean_but_first", "mean_sqrt_len", "weighted_mean", "last"]


@spec
class Dense:
    """norm(activation(linear(x))), each of the two only where it is given."""

    width: int  # outputs
    bias: bool = True
    activation: Activation | None = None
    norm: Norm | None = None


@spec
class Next:
    """Logits of the token that comes next: a decoder. `bias`: added to them, behind a tied head, too. `scale` multiplies the logits, before
    `softcap` bends them."""

    bias: bool = False
    scale: float = 1.0
    softcap: float | None = None


@spec
class Probe:
    """A row that was learned looks at all rows of a sequence, as multi-head attention does; with what it finds, x, the pooled row is
    x + ffn(norm(x)) (Lee et al. 2018, arXiv 1810.00825; SigLIP)."""

    heads: int
    ffn: MLP
    norm: Norm


@spec
class Denoised:
    """Logits of the tokens themselves: those that are `mask` are to be found, in any order (masked diffusion: Sahoo et al. 2024, arXiv
    2406.07524; LLaDA, arXiv 2502.09992). `shifted`: a token's logits are those of the row before it (Dream, arXiv 2508.15487). `head`: what
    the logits are made by."""

    mask: int
    shifted: bool = False
    head: Next = Next()


@spec
class Pooled:
    """One vector for each sequence: its rows pooled (in several ways: one beside the other), then `layers`, then cut to
    length 1 if `normalize` (Reimers & Gurevych 2019, arXiv 1908.10084)."""

    pooling: tuple[Pooling, ...] | Probe = ("mean",)
    layers: tuple[Dense, ...] = ()
    normalize: bool = False


@spec
class Classifier:
    """One logit per label for each sequence: its rows pooled (in several ways: one beside the other), then `hidden`, where there is such
    a layer, then one linear layer."""

    labels: int
    pooling: tuple[Pooling, ...] = ("cls",)
    hidden: Dense | None = None

    @property
    def layers(self) -> tuple[Dense, ...]:
        """All of them."""
        return (*([] if self.hidden is None else [self.hidden]), Dense(width=self.labels))


Writes = Next | Denoised  # logits for each row: what makes text
Output = Writes | Pooled | Classifier


def pooled_width(output: Pooled | Classifier, dim: int) -> int:
    """Columns of pooled rows, before any layer behind them."""
    return dim if isinstance(output.pooling, Probe) else dim * len(output.pooling)
