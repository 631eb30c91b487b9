"""Sentences to rows: one step's inputs, written into buffers that stay where they are, and the model run on them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.api import Pixels, Sentence
from engine.embedded.encoder.load import LoadedEncoder, Sight
from engine.embedded.step.capture import Captured, NotRecordable
from models.batch import Batch
from models.images import step_of


@dataclass(frozen=True, eq=False)
class _Buffers:
    """Of the largest step. What lies beyond a step's own is whatever was there before, but `starts` says it is nobody's."""

    tokens_T: NDArray[np.int64]
    positions_T: NDArray[np.int64]
    segments_T: NDArray[np.int64]
    starts_S1: NDArray[np.int32]

    @classmethod
    def of(cls, tokens: int, sentences: int) -> "_Buffers":
        tokens_T, positions_T, segments_T = (np.zeros(tokens, np.int64) for _ in range(3))
        return cls(tokens_T, positions_T, segments_T, np.zeros(sentences + 1, np.int32))

    def fill(self, step: Sequence[Sentence]) -> int:
        """Returns the number of tokens."""
        ends = list(accumulate(len(sentence.tokens) for sentence in step))
        for sentence, end in zip(step, ends, strict=True):
            length = len(sentence.tokens)
            here = slice(end - length, end)
            self.tokens_T[here] = sentence.tokens
            self.positions_T[here] = np.arange(length)
            self.segments_T[here] = sentence.segments or 0
        self.starts_S1[1 : len(ends) + 1] = ends
        self.starts_S1[len(ends) + 1 :] = ends[-1]
        return ends[-1]

    def batch(self, tokens: int, sentences: int) -> tuple[Tensor, Batch]:
        """Views of the first so many."""
        t, p, s = (torch.from_numpy(a[:tokens]) for a in (self.tokens_T, self.positions_T, self.segments_T))
        starts = torch.from_numpy(self.starts_S1[: sentences + 1])
        return t, Batch(p, starts, torch.zeros(sentences, dtype=torch.int32), segments_T=s)


class StepRunner:
    """All calls of `run` come from one thread."""

    def __init__(self, loaded: LoadedEncoder) -> None:
        self._loaded, limits = loaded, loaded.limits
        self._most = (max(limits.max_step_tokens, loaded.info.max_tokens), limits.max_sentences)
        self._buffers = _Buffers.of(*self._most)
        self._recorder = loaded.recorder
        self._captured: Captured | None = None

    def run(self, step: Sequence[Sentence | Pixels]) -> NDArray[np.float32]:
        """Rows [len(step), width]."""
        rows = np.empty((len(step), self._loaded.info.width), np.float32)
        if sentences := {i: self._whole(one) for i, one in enumerate(step) if isinstance(one, Sentence)}:
            rows[list(sentences)] = self._read(list(sentences.values()))
        if images := {i: one for i, one in enumerate(step) if isinstance(one, Pixels)}:
            rows[list(images)] = self._see(list(images.values()))
        return rows

    def _whole(self, sentence: Sentence) -> Sentence:
        """Filled up, where the model was trained so."""
        if self._loaded.filler is None:
            return sentence
        missing = self._loaded.info.max_tokens - len(sentence.tokens)
        return replace(sentence, tokens=(*sentence.tokens, *(self._loaded.filler,) * missing))

    def _see(self, images: Sequence[Pixels]) -> NDArray[np.float32]:
        sight: Sight | None = self._loaded.sight
        if sight is None:
            raise ValueError("images must not reach an encoder of texts")
        read_PI, batch = _moved(*step_of([torch.from_numpy(image.values) for image in images], sight.patches), self._loaded.device)
        return sight.model.output(sight.model(read_PI, batch), batch).float().cpu().numpy()

    def _read(self, step: Sequence[Sentence]) -> NDArray[np.float32]:
        tokens = self._buffers.fill(step)
        tokens_T, batch = self._buffers.batch(tokens, len(step))
        tokens_T, batch = _moved(tokens_T, batch, self._loaded.device)
        x_TD = self._hidden(tokens_T, batch)
        return self._loaded.model.output(x_TD, batch).float().cpu().numpy()

    def _hidden(self, tokens_T: Tensor, batch: Batch) -> Tensor:
        """Of the largest step's recording where there is one: its kernels skip what is beyond this step's tokens."""
        if self._captured is None and self._recorder is not None:
            most = self._buffers.batch(*self._most)
            try:
                self._captured = self._recorder(lambda: self._loaded.model(*most))
            except NotRecordable:
                self._recorder = None
        return self._loaded.model(tokens_T, batch) if self._captured is None else self._captured.replay()[: len(tokens_T)]


def _moved(read: Tensor, batch: Batch, device: torch.device) -> tuple[Tensor, Batch]:
    if device.type == "cpu":
        return read, batch
    names = [name for name in ("positions_T", "starts_S1", "cached_S", "segments_T") if getattr(batch, name) is not None]
    return read.to(device), replace(batch, **{name: getattr(batch, name).to(device) for name in names})
