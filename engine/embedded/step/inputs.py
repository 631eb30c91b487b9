"""From scheduled chunks to the tensors that a model sees. Indices are built in numpy, in memory shared with torch."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.embedded.memory.memory import pages_for
from engine.embedded.scheduler import Limits
from engine.embedded.sequence import Chunk
from engine.embedded.step.encoder_inputs import EncoderInputs
from engine.embedded.step.mirror import Mirror
from engine.embedded.vision.inputs import ImageInputs
from models.batch import Batch, Slots
from models.spec import Paged, Rope, rope_start


class Shape(NamedTuple):
    """Tokens, sequences and block table width of a step. As many tokens as sequences means one each. Of an encoder-decoder also the
    width of its inputs' block tables, and whether inputs are read in this step."""

    tokens: int
    rows: int
    width: int
    inputs: int = 0
    reads: bool = False


def largest_step(limits: Limits, context: int, inputs: int = 0) -> Shape:
    """Every sequence decodes, and a prompt takes the whole budget. `inputs`: rows of the longest that an encoder reads."""
    return Shape(limits.max_running + limits.max_step_tokens, limits.max_running, pages_for(context), pages_for(inputs))


class Inputs:
    """Static buffers for steps of up to `most`: filled in place, never reallocated, so that recorded steps can read them."""

    def __init__(
        self,
        most: Shape,
        layouts: Sequence[Paged],
        device: torch.device,
        *,
        ropes: Sequence[Rope] = (),
        context: int = 0,
        slots: int | None = None,
        images: bool = False,
    ) -> None:
        """`ropes`: those of the model, built for `context` positions, whose angles are not those of the positions: they depend on how long
        a sequence may become, or have several coordinates. `slots`: of states; behind them one that holds zeros, and one for what padding
        writes. `images`: images may stand among the tokens."""
        self.most = most
        self._nothing = slots
        self._slots_R = None if slots is None else tuple(Mirror((most.rows,), np.int32, slots + i, device) for i in range(2))
        self._context = context
        self._rotary_T = {rope: Mirror((most.tokens,), np.int64, 0, device) for rope in ropes}
        self._layouts, self._device = {layout: i for i, layout in enumerate(layouts) if layout.of == "self"}, device
        self._read = EncoderInputs(layouts, most.rows, most.inputs, device) if len(self._layouts) < len(layouts) else None
        self._tokens_T, self._positions_T = (Mirror((most.tokens,), np.int64, 0, device) for _ in range(2))
        self._starts_R1 = Mirror((most.rows + 1,), np.int32, 0, device)
        self._cached_R = Mirror((most.rows,), np.int32, 0, device)
        self._tables_RW = [Mirror((most.rows, most.width), np.int32, -1, device) for _ in self._layouts]
        self._images = ImageInputs(device) if images else None
        self.shows = False  # whether images stand among the step's tokens
        self._dirty = Shape(0, 0, 0)  # what holds something
        self._copied = torch.cuda.Event() if device.type == "cuda" else None

    def fill(self, chunks: Sequence[Chunk]) -> Shape:
        """Entries of a block table beyond a sequence's own pages may be anything that is a page; what a query cannot
        see does not matter."""
        if self._copied is not None:
            self._copied.synchronize()  # the last step's numbers may still be on their way
        computed = [chunk.sequence.computed for chunk in chunks]
        counts = [chunk.size for chunk in chunks]
        ends = list(accumulate(counts))
        if ends[-1] == len(chunks):
            self._fill_one_each(chunks, computed)
        else:
            self._fill_several(chunks, computed, ends)
        self._starts_R1.host[1 : len(ends) + 1] = ends
        self._starts_R1.host[len(ends) + 1 :] = ends[-1]  # further rows are empty
        self._cached_R.host[: len(chunks)] = computed
        self._fill_tables(chunks)
        self._fill_rotary(chunks, ends)
        self._fill_slots(chunks)
        self._clear(ends[-1], len(chunks))
        read = (0, False) if self._read is None else self._read.fill(chunks)
        self.shows = self._images is not None and self._images.fill(chunks)
        self._upload()
        return Shape(ends[-1], len(chunks), max(pages_for(a + n) for a, n in zip(computed, counts, strict=True)), *read)

    def batch(self, shape: Shape) -> tuple[Tensor, Batch]:
        """tokens_T and the Batch of that shape: views, made anew because a Batch may remember numbers."""
        tokens, rows, width, *_ = shape
        tables = {layout: m.device[:rows, :width] for layout, m in zip(self._layouts, self._tables_RW, strict=True)}
        rotary = {rope: m.device[:tokens] for rope, m in self._rotary_T.items()}
        starts, cached = self._starts_R1.device[: rows + 1], self._cached_R.device[:rows]
        slots = None if self._slots_R is None else Slots(*(m.device[:rows] for m in self._slots_R))
        batch = Batch(self._positions_T.device[:tokens], starts, cached, tables, rotary_T=rotary, slots=slots)
        if self._images is not None:
            batch = self._images.into(batch)
        return self._tokens_T.device[:tokens], batch if self._read is None else self._read.into(batch, shape.inputs)

    def last(self, rows: list[int], drafted: list[int] | None = None) -> Tensor:
        """int64: where the last tokens of these rows lie among the step's tokens, each behind those that as many guesses follow."""
        ends = self._starts_R1.host[1:][rows].astype(np.int64)
        if drafted is not None and any(drafted):
            ends = np.concatenate([np.arange(end - more, end + 1) for end, more in zip(ends, drafted, strict=True)])
        return torch.from_numpy(ends - 1).to(self._device)

    def _fill_one_each(self, chunks: Sequence[Chunk], computed: list[int]) -> None:
        n = len(chunks)
        self._tokens_T.host[:n] = [chunk.sequence.tokens[at] for chunk, at in zip(chunks, computed, strict=True)]
        self._positions_T.host[:n] = computed

    def _fill_several(self, chunks: Sequence[Chunk], computed: list[int], ends: list[int]) -> None:
        for chunk, first, end in zip(chunks, computed, ends, strict=True):
            here, there = slice(end - chunk.size, end), slice(first, first + chunk.size)
            self._tokens_T.host[here] = chunk.sequence.tokens[there]
            self._positions_T.host[here] = np.arange(there.start, there.stop)

    def _fill_tables(self, chunks: Sequence[Chunk]) -> None:
        for i, mirror in zip(self._layouts.values(), self._tables_RW, strict=True):
            for row, chunk in zip(mirror.host, chunks, strict=False):
                table = chunk.sequence.tables[i]
                row[: table.end] = table.pages[: table.end]

    def _fill_rotary(self, chunks: Sequence[Chunk], ends: list[int]) -> None:
        for rope, mirror in self._rotary_T.items():
            for chunk, end in zip(chunks, ends, strict=True):
                here, seq = slice(end - chunk.size, end), chunk.sequence
                if seq.places is not None:  # only where all coordinates are the same: images have places_AT
                    mirror.host[here] = seq.places.of(seq.computed, seq.computed + chunk.size)[0]
                else:
                    mirror.host[here] = self._positions_T.host[here] + rope_start(rope, self._context, seq.limit)

    def _fill_slots(self, chunks: Sequence[Chunk]) -> None:
        if self._slots_R is None or self._nothing is None:
            return
        read_R, write_R = (mirror.host for mirror in self._slots_R)
        read_R[: len(chunks)] = [seq.slot if (seq := chunk.sequence).slot >= 0 else self._nothing for chunk in chunks]
        write_R[: len(chunks)] = [chunk.sequence.target for chunk in chunks]
        read_R[len(chunks) : self._dirty.rows], write_R[len(chunks) : self._dirty.rows] = self._nothing, self._nothing + 1

    def _clear(self, tokens: int, rows: int) -> None:
        """What earlier, larger steps left beyond this one: no tokens, nothing cached, no page of anybody's."""
        self._tokens_T.host[tokens : self._dirty.tokens] = 0
        for mirror in (self._positions_T, *self._rotary_T.values()):
            mirror.host[tokens : self._dirty.tokens] = 0
        self._cached_R.host[rows : self._dirty.rows] = 0
        for mirror in self._tables_RW:
            mirror.host[rows : self._dirty.rows] = -1
        self._dirty = Shape(tokens, rows, 0)

    def _upload(self) -> None:
        if self._copied is not None:
            several = (*self._tables_RW, *self._rotary_T.values(), *(self._slots_R or ()))
            several = (*several, *(() if self._read is None else self._read.mirrors))
            for mirror in (self._tokens_T, self._positions_T, self._starts_R1, self._cached_R, *several):
                mirror.upload()
            self._copied.record()
