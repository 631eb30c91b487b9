"""What a step of an encoder-decoder sees of the inputs of its sequences: those that are remembered, and those that are read in it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.api import Frames
from engine.embedded.sequence import Chunk
from models.batch import Batch, Encoding, Look
from models.spec import Paged


class EncoderInputs:
    """Makes new tensors at each step: no step of such a model is recorded."""

    def __init__(self, layouts: Sequence[Paged], device: torch.device) -> None:
        """`layouts`: all of the model's, in the order of a sequence's tables."""
        self._crossed = {i: layout for i, layout in enumerate(layouts) if layout.of == "encoder"}
        self._device = device
        self._chunks: Sequence[Chunk] = ()

    def fill(self, chunks: Sequence[Chunk]) -> None:
        self._chunks = chunks

    def into(self, batch: Batch) -> Batch:
        """The same step with the inputs of its sequences."""
        lengths_S = self._tensor([chunk.sequence.inputs for chunk in self._chunks], np.int32)
        return replace(
            batch, pages={**batch.pages, **self._tables(self._chunks)}, inputs_S=lengths_S, encoding=self._encoding(), looks=self._looks()
        )

    def _looks(self) -> tuple[Look, ...]:
        looks: list[Look] = []
        for i, seq in enumerate(chunk.sequence for chunk in self._chunks):
            if seq.looks is not None:
                if not seq.computed:
                    seq.looks.begin()
                looks.append(Look(i, seq.looks.heads, seq.looks.tell))
        return tuple(looks)

    def _encoding(self) -> Encoding | None:
        new = [chunk for chunk in self._chunks if not chunk.sequence.encoded]
        if not new:
            return None
        lengths = [chunk.sequence.inputs for chunk in new]
        read = torch.from_numpy(np.concatenate([_numbers(chunk.sequence.request.encoder) for chunk in new])).to(self._device)
        positions_T = self._tensor(np.concatenate([np.arange(length) for length in lengths]), np.int64)
        starts_S1 = self._tensor(np.cumsum([0, *lengths]), np.int32)
        nothing_S = torch.zeros(len(new), dtype=torch.int32, device=self._device)
        return Encoding(read, Batch(positions_T, starts_S1, nothing_S, self._tables(new)))

    def _tables(self, chunks: Sequence[Chunk]) -> dict[Paged, Tensor]:
        """int32 [S, W] for each layout, as wide as the longest input needs."""
        tables: dict[Paged, Tensor] = {}
        for i, layout in self._crossed.items():
            rows = [chunk.sequence.tables[i].pages for chunk in chunks]
            table_SW = np.full((len(rows), max(map(len, rows))), -1, np.int32)
            for row, pages in zip(table_SW, rows, strict=True):
                row[: len(pages)] = pages
            tables[layout] = self._tensor(table_SW, np.int32)
        return tables

    def _tensor(self, numbers: object, dtype: type[np.integer]) -> Tensor:
        return torch.from_numpy(np.asarray(numbers, dtype)).to(self._device)


def _numbers(read: tuple[int, ...] | Frames) -> NDArray[np.int64] | NDArray[np.float32]:
    return read.rows if isinstance(read, Frames) else np.asarray(read, np.int64)
