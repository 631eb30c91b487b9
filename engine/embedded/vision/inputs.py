"""What a step's model sees of images: their rows, how far their tokens see, and where they stand."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.embedded.sequence import Chunk
from models.batch import Batch, ImageRows


class ImageInputs:
    """Made anew for each step that has any: such steps are not recorded."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._chunks: Sequence[Chunk] = ()

    def fill(self, chunks: Sequence[Chunk]) -> bool:
        """Whether images stand among the step's tokens."""
        self._chunks = chunks if any(map(_shows, chunks)) else ()
        return bool(self._chunks)

    def into(self, batch: Batch) -> Batch:
        if not self._chunks:
            return batch
        return replace(batch, image_rows=self._rows(), ends_T=self._ends(), places_AT=self._places())

    def _rows(self) -> ImageRows:
        at, rows, first = list[Tensor](), list[tuple[Tensor, ...]](), 0
        for chunk in self._chunks:
            seq, size = chunk.sequence, chunk.size
            for i, placed in enumerate(seq.request.images):
                begin, end = max(placed.at, seq.computed), min(placed.at + placed.rows, seq.computed + size)
                if begin < end:
                    at.append(torch.arange(begin, end) - seq.computed + first)
                    rows.append(tuple(part[begin - placed.at : end - placed.at] for part in seq.image_rows[i]))
            first += size
        rows_ND, *deep = (torch.cat(parts) for parts in zip(*rows, strict=True))
        return ImageRows(torch.cat(at).to(self._device), rows_ND, tuple(deep))

    def _ends(self) -> Tensor | None:
        if not any(chunk.sequence.spans for chunk in self._chunks):
            return None
        ends_T = np.concatenate([np.arange(chunk.sequence.computed, chunk.end) for chunk in self._chunks])
        first = 0
        for chunk in self._chunks:
            seq, size = chunk.sequence, chunk.size
            for begin, end in seq.spans:
                within = slice(max(begin - seq.computed, 0) + first, max(min(end - seq.computed, size), 0) + first)
                ends_T[within] = end - 1
            first += size
        return torch.from_numpy(ends_T).to(self._device)

    def _places(self) -> Tensor | None:
        if all(chunk.sequence.places is None for chunk in self._chunks):
            return None
        return torch.from_numpy(np.concatenate([_places(chunk) for chunk in self._chunks], 1)).to(self._device)


def _places(chunk: Chunk) -> NDArray[np.int64]:
    """places_AT of its tokens: those of a text alone are their positions."""
    seq, first, end = chunk.sequence, chunk.sequence.computed, chunk.end
    return np.broadcast_to(np.arange(first, end), (3, end - first)) if seq.places is None else seq.places.of(first, end)


def _shows(chunk: Chunk) -> bool:
    """Whether the chunk computes tokens of an image, or of a span that sees both ways."""
    seq = chunk.sequence
    spans = (*((placed.at, placed.at + placed.rows) for placed in seq.request.images), *seq.spans)
    return any(begin < chunk.end and seq.computed < end for begin, end in spans)
