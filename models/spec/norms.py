"""Norms over the last axis."""

from typing import Literal

from models.spec.value import spec


@spec
class Norm:
    """rms (arXiv 1910.07467), with a weight or without; layer (arXiv 1607.06450), with weight and bias, or without bias."""

    kind: Literal["rms", "rms_unweighted", "layer", "layer_unbiased"] = "rms"
    eps: float = 1e-6
