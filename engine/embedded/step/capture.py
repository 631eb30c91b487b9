"""Recorded steps: a step's inputs are written into `Inputs` (inputs.py) in place, and what was recorded once is replayed.

Who records: on_torch/cuda_graph.py on a GPU, native/ops.py on the CPU. The runner holds one `Recorder` or none.
"""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from engine.embedded.step.inputs import Shape


class NotRecordable(Exception):
    """The model did something that a replay would miss."""


class Captured(Protocol):
    def replay(self) -> Tensor:
        """What the recorded step returns for the inputs as they are now. Valid until the next replay of any recording."""
        ...


class Recorder(Protocol):
    def fit(self, shape: Shape, most: Shape) -> Shape | None:
        """The shape to record for a step of `shape`, at least as large and at most `most`; None when such a step is not
        worth recording. Sequences beyond the step's own are empty and hold nobody's pages; what is computed for tokens
        beyond its own, nobody reads."""
        ...

    def record(self, step: Callable[[], Tensor]) -> Captured:
        """`step` runs the model on static inputs; it may be called any number of times, for it writes the same K and V
        at the same places each time. Raises NotRecordable."""
        ...
