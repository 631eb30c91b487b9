"""What a model did with the tokens of a short text."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_INSPECTED = 128  # tokens


@dataclass(frozen=True, slots=True, eq=False)
class ChosenExperts:
    """Of one layer with E experts. chosen: int64 [T, A]; weights: float32 [T, A], what each of them counts."""

    experts: int
    chosen: NDArray[np.int64]
    weights: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """heads: of each layer whose attention can be told, how many it has. layer: whose attention this is; None: no layer has any.
    attention: float32 [H, T, T], what share of its attention each head gives, at each token, every token; less than 1 in all where a sink
    takes the rest. experts: by layers that have any."""

    heads: Mapping[int, int]
    layer: int | None
    attention: NDArray[np.float32] | None
    experts: Mapping[int, ChosenExperts]
