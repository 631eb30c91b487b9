"""What a step of an encoder-decoder sees of the inputs of its sequences: those that are remembered, and those that are read in it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.api import Frames
from engine.embedded.sequence import Chunk
from engine.embedded.sequence import Sequence as Answer
from engine.embedded.step.mirror import Mirror
from models.batch import Batch, Crossing, Encoding, Look
from models.crossing import LookedAt
from models.spec import Paged


class EncoderInputs:
    """What is remembered lies in static buffers, as in inputs.py; for what is read there are new tensors at each step."""

    def __init__(self, layouts: Sequence[Paged], rows: int, width: int, device: torch.device) -> None:
        """`layouts`: all of the model's, in the order of a sequence's tables. `rows`, `width`: of sequences in a step, and of the longest
        input's block table."""
        self._crossed = {i: layout for i, layout in enumerate(layouts) if layout.of == "encoder"}
        self._device = device
        self._lengths_R = Mirror((rows,), np.int32, 0, device)
        self._tables_RW = {i: Mirror((rows, width), np.int32, -1, device) for i in self._crossed}
        self._chunks: Sequence[Chunk] = ()
        self._seqs: list[Answer] = []
        self._new: list[Answer] = []
        self._dirty = 0  # rows that hold something

    @property
    def mirrors(self) -> Sequence[Mirror]:
        return (self._lengths_R, *self._tables_RW.values())

    def fill(self, chunks: Sequence[Chunk]) -> tuple[int, bool]:
        """The width of the longest input's block table, and whether there are inputs to read."""
        self._chunks = chunks
        seqs = self._seqs = [chunk.sequence for chunk in chunks]
        self._new = [seq for seq in seqs if not seq.encoded]
        self._lengths_R.host[: len(seqs)] = [seq.inputs for seq in seqs]
        self._lengths_R.host[len(seqs) : self._dirty] = 0
        widest = 0
        for i, mirror in self._tables_RW.items():
            tables = [seq.tables[i].pages for seq in seqs]
            _copy(tables, mirror.host)
            widest = max(widest, *map(len, tables))
            mirror.host[len(seqs) : self._dirty] = -1
        self._dirty = len(seqs)
        return widest, bool(self._new)

    def into(self, batch: Batch, width: int) -> Batch:
        """The same step with the inputs of its sequences."""
        rows = len(batch.cached_S)
        tables = {layout: self._tables_RW[i].device[:rows, :width] for i, layout in self._crossed.items()}
        lengths_S, encoding = self._lengths_R.device[:rows], self._encoding() if self._new else None
        return replace(
            batch,
            pages={**batch.pages, **tables},
            inputs_S=lengths_S,
            encoding=encoding,
            crossing=self._crossing(),
            looks=self._looks(),
        )

    def _crossing(self) -> Crossing | None:
        if all(seq.looked is None for seq in self._seqs):
            return None
        parts = [_crossing(chunk) for chunk in self._chunks]
        fields = ((part.first_T, part.end_T, part.behind_T) for part in parts)
        return Crossing(*(torch.cat(tensors).to(self._device) for tensors in zip(*fields, strict=True)))

    def _looks(self) -> tuple[Look, ...]:
        looks: list[Look] = []
        for i, seq in enumerate(self._seqs):
            if seq.looks is not None:
                if not seq.computed:
                    seq.looks.begin()
                looks.append(Look(i, seq.looks.heads, seq.looks.tell))
        return tuple(looks)

    def _encoding(self) -> Encoding:
        new = self._new
        lengths = [seq.inputs for seq in new]
        positions_T = self._tensor(np.concatenate([np.arange(length) for length in lengths]), np.int64)
        starts_S1 = self._tensor(np.cumsum([0, *lengths]), np.int32)
        nothing_S = torch.zeros(len(new), dtype=torch.int32, device=self._device)
        batch = Batch(positions_T, starts_S1, nothing_S, self._tables(new))
        if any(seq.looked is not None for seq in new):
            return Encoding(None, batch, torch.cat([_rows(seq, seq.looked) for seq in new if seq.looked is not None]))
        read = torch.from_numpy(np.concatenate([_numbers(seq.request.encoder) for seq in new])).to(self._device)
        return Encoding(read, batch)

    def _tables(self, new: Sequence[Answer]) -> dict[Paged, Tensor]:
        """int32 [S, W] for each layout, as wide as the longest input needs."""
        tables: dict[Paged, Tensor] = {}
        for i, layout in self._crossed.items():
            rows = [seq.tables[i].pages for seq in new]
            table_SW = np.full((len(rows), max(map(len, rows))), -1, np.int32)
            _copy(rows, table_SW)
            tables[layout] = self._tensor(table_SW, np.int32)
        return tables

    def _tensor(self, numbers: object, dtype: type[np.integer]) -> Tensor:
        return torch.from_numpy(np.asarray(numbers, dtype)).to(self._device)


def _crossing(chunk: Chunk) -> Crossing:
    seq, size = chunk.sequence, chunk.size
    if seq.looked is not None:
        return seq.looked.of(seq.computed, seq.computed + size)
    nothing_T = torch.zeros(size, dtype=torch.int64)
    return Crossing(nothing_T, nothing_T, nothing_T.bool())


def _rows(seq: Answer, looked: LookedAt) -> Tensor:
    """Of its images, which have been read."""
    return looked.joined([seq.image_rows[i][0] for i in range(len(seq.request.images))])


def _copy(tables: Sequence[NDArray[np.int32]], table_SW: NDArray[np.integer]) -> None:
    for row, pages in zip(table_SW, tables, strict=False):
        row[: len(pages)] = pages


def _numbers(read: tuple[int, ...] | Frames) -> NDArray[np.int64] | NDArray[np.float32]:
    return read.rows if isinstance(read, Frames) else np.asarray(read, np.int64)
