"""Texts as encoders read them. M rows of a text, X columns; E numbers of the vector that stands for all of it."""

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.batch import Batch
from models.spec.diffusion import TextEncoder
from models.stacks.encoder import Encoder

REMEMBERED = 8  # texts of each encoder: those of several pictures of one prompt, and what most are guided away from


@dataclass(frozen=True, eq=False)
class ReadText:
    """rows_MX: behind the last norm; before_MX: what the last layer reads; vector_E: of the whole text."""

    rows_MX: Tensor
    before_MX: Tensor
    vector_E: Tensor

    def zeros(self) -> "ReadText":
        return ReadText(torch.zeros_like(self.rows_MX), torch.zeros_like(self.before_MX), torch.zeros_like(self.vector_E))


class PromptEncoder:
    """Called in one thread. Each text is read by itself, so that no other one changes a digit of it; the last ones are remembered."""

    def __init__(self, spec: TextEncoder, model: Encoder, device: torch.device) -> None:
        self.spec, self._model, self._device = spec, model, device
        self._read = OrderedDict[tuple[int, ...], ReadText]()

    def __call__(self, tokens: tuple[int, ...]) -> ReadText:
        if tokens not in self._read:
            self._read[tokens] = self._encoded(torch.tensor(tokens, device=self._device))
        self._read.move_to_end(tokens)
        while len(self._read) > REMEMBERED:
            self._read.popitem(last=False)
        return self._read[tokens]

    def _encoded(self, tokens_M: Tensor) -> ReadText:
        before_MX, last_MX = deque(self._model.states(tokens_M, _one(len(tokens_M), self._device)), maxlen=2)
        rows_MX, end = self._model.norm(last_MX), self._end(tokens_M)
        return ReadText(rows_MX, before_MX, self._model.output(rows_MX[end : end + 1], _one(1, self._device))[0])

    def _end(self, tokens_M: Tensor) -> int:
        return int((tokens_M if self.spec.end is None else (tokens_M == self.spec.end).int()).argmax())


def read_all(encoders: Sequence[PromptEncoder], tokens: Sequence[tuple[int, ...]]) -> list[ReadText]:
    return [encoder(each) for encoder, each in zip(encoders, tokens, strict=True)]


def _one(rows: int, device: torch.device) -> Batch:
    starts_S1 = torch.tensor([0, rows], dtype=torch.int32, device=device)
    return Batch(torch.arange(rows, device=device), starts_S1, torch.zeros(1, dtype=torch.int32, device=device))
