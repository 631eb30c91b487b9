"""Values that the first layer of a step hands to those behind it."""

from torch import Tensor

from models.batch import Batch

Size = tuple[int, int]  # heads, and how wide they are


class HandedValues:
    """Of one model. A layer whose values are its own gives them if it is the first of its size, the others take them in the same step."""

    def __init__(self) -> None:
        self._given: set[Size] = set()
        self._batch: Batch | None = None
        self._of: dict[Size, Tensor] = {}

    def claim(self, size: Size) -> bool:
        """Whether the layer that is being built is the first."""
        first = size not in self._given
        self._given.add(size)
        return first

    def give(self, v_THV: Tensor, batch: Batch) -> None:
        if batch is not self._batch:
            self._batch, self._of = batch, {}
        self._of[v_THV.shape[1], v_THV.shape[2]] = v_THV

    def take(self, size: Size, batch: Batch) -> Tensor:
        if batch is not self._batch:
            raise ValueError("no layer of this step has given its values")
        return self._of[size]
