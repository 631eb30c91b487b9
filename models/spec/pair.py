"""Two encoders whose vectors can be compared."""

from typing import Literal

from models.spec.arch import Arch
from models.spec.value import spec


@spec
class Pair:
    """What says how well a text and an image fit each other: the product of their vectors, which have a length of 1, times a scale that was
    learned, plus an offset. `judged`: a softmax over all texts makes probabilities of it (CLIP; Radford et al. 2021, arXiv 2103.00020), or
    a sigmoid for each (SigLIP; Zhai et al. 2023, arXiv 2303.15343). `filler`: a text is filled up to the context with this token, as it was
    in training."""

    text: Arch
    image: Arch
    judged: Literal["softmax", "sigmoid"]
    filler: int | None = None
