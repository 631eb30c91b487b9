"""Recorded decode steps. A step that gives each of S sequences one token is always the same work on other numbers:
its inputs are written into `Inputs` (inputs.py) in place, and what was recorded once is replayed.

Who records: cuda_graph.py on a GPU, native.py on the CPU. The runner holds one `Recorder` or none.
"""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor


class Captured(Protocol):
    def replay(self) -> Tensor:
        """float32 logits_SY for the inputs as they are now. Valid until the next replay of any recording."""
        ...


class Recorder(Protocol):
    def fit(self, sequences: int, width: int) -> tuple[int, int] | None:
        """The shape (S, W) to record for a step of so many sequences with block tables at least `width` wide, each at
        least as large; None when such a step is not worth recording. Rows beyond `sequences` are padding: they
        compute something, in the page that nobody owns, and nobody reads it."""
        ...

    def record(self, step: Callable[[], Tensor]) -> Captured:
        """`step` runs the model on static inputs and returns logits_SY; it may be called any number of times, for it
        writes the same K and V at the same places each time. It makes its Batch anew at each call."""
        ...
