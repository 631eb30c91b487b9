"""How the tokens of a prompt look at what an encoder has read, gathered from the steps that compute it."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Looks:
    """Of one sequence. `heads`: (layer, head)."""

    def __init__(self, heads: Sequence[tuple[int, int]]) -> None:
        self._places: list[tuple[str, int]] = []  # of each head: its part, and the how manieth of those asked there
        self.heads: dict[str, tuple[int, ...]] = {}  # by part
        for layer, head in heads:
            part = f"layers.{layer}.cross"
            asked = self.heads.get(part, ())
            self._places.append((part, len(asked)))
            self.heads[part] = (*asked, head)
        self._found: dict[str, list[Tensor]] = {}

    def begin(self) -> None:
        """The prompt is computed from its first token on, perhaps once more."""
        self._found = {part: [] for part in self.heads}

    def tell(self, part: str, shares_NTM: Tensor) -> None:
        """As models.batch.Look says."""
        self._found[part].append(shares_NTM.cpu())

    def result(self) -> NDArray[np.float32]:
        """[H, T, M], once all of the prompt is computed."""
        whole = {part: torch.cat(found, 1) for part, found in self._found.items()}
        return torch.stack([whole[part][i] for part, i in self._places]).numpy()
