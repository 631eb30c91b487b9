"""Several mixers on the same rows."""

from torch import Tensor, nn

from models.batch import Batch
from models.ops import Ops


class ParallelPart(nn.ModuleList):
    """x_TD -> x_TD: what all of them return, summed. They are named by their numbers."""

    def __init__(self, mixers: list[nn.Module], ops: Ops) -> None:
        super().__init__(mixers)
        self._ops = ops

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        first, *others = self
        y_TD = first(x_TD, batch)
        for mixer in others:
            y_TD = self._ops.add(y_TD, mixer(x_TD, batch))
        return y_TD
