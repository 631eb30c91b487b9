"""Runs a step of texts that are denoised: takes chunks, returns the logits of the rows that are asked for."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from engine.embedded.sequence import Chunk
from engine.embedded.step.inputs import Inputs
from engine.embedded.step.runner import Model


class DenoisingRunner:
    """Owns the inputs. Not thread-safe."""

    def __init__(self, model: Model, inputs: Inputs, device: torch.device) -> None:
        self._model, self._inputs, self._device = model, inputs, device

    def logits(self, step: Sequence[Chunk], rows: Sequence[int]) -> NDArray[np.float32]:
        """float32 [N, Y]; `rows`: numbers among the tokens of all chunks. Writes what the chunks leave behind."""
        x_TD = self._model(*self._inputs.batch(self._inputs.fill(step)))
        return self._model.logits(x_TD[torch.tensor(rows, device=self._device)]).cpu().numpy()
