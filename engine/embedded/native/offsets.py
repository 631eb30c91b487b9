"""T5's relative positions as the kernels read them (offsets.h): for each head a row of numbers, by how far a key lies from its query.

H heads, O numbers of a row, P rows of the checkpoint's table.
"""

import torch
from torch import Tensor
from torch._C import DisableTorchFunction

from engine.embedded.kernels.library import PAGE
from models.score_bias import BiasRows, Relative, bias_rows
from models.spec import Attention, RelativeBias


class OffsetTable:
    """(relative) -> float32 offsets_HO. No text changes it: what is made for the first step serves all."""

    def __init__(self, spec: Attention, *, ahead: bool, scale: float = 1.0) -> None:
        """`ahead`: are there keys behind the query, too? `scale`: what the numbers are divided by."""
        self._position = spec.position if isinstance(spec.position, RelativeBias) else None
        self._ahead, self._scale = ahead, scale
        self._made: Tensor | None = None

    @property
    def far(self) -> int:
        """How far a row reaches; beyond it lies the same number for all. 0 where there is none."""
        return 0 if self._position is None else self._position.max_distance

    def __call__(self, relative: Relative | None) -> Tensor | None:
        """None where scores depend on no table."""
        if self._position is None or not isinstance(relative, BiasRows):
            return None
        if self._made is None:
            with DisableTorchFunction():  # while a step is recorded: this is no part of it
                self._made = self._make(self._position, relative.bias_HP)
        return self._made

    def _make(self, position: RelativeBias, bias_HP: Tensor) -> Tensor:
        ahead = self.far if self._ahead else 0
        offset_O = torch.arange(-self.far - PAGE, ahead + PAGE)
        return (bias_HP[:, bias_rows(position, self._ahead, -offset_O)] / self._scale).float().contiguous()
