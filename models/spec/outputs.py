"""Outputs: what becomes of the rows behind the last layer."""

from typing import Literal

from models.spec.ffn import Activation
from models.spec.norms import Norm
from models.spec.value import spec

Pooling = Literal["cls", "max", "mean", "mean_sqrt_len", "weighted_mean", "last"]


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
class Pooled:
    """One vector for each sequence: its rows pooled (in several ways: one beside the other), then `layers`, then cut to
    length 1 if `normalize` (Reimers & Gurevych 2019, arXiv 1908.10084)."""

    pooling: tuple[Pooling, ...] = ("mean",)
    layers: tuple[Dense, ...] = ()
    normalize: bool = False


@spec
class Classifier:
    """One logit per label for each sequence: its rows pooled, then `hidden`, then one linear layer."""

    labels: int
    pooling: Pooling = "cls"
    hidden: Dense


Output = Next | Pooled | Classifier
