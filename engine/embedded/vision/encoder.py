"""What an engine makes of images: each is read once, half a layer of one tile after each step of the tokens' own, so that no answer waits
for more than that; and the rows that come out are remembered, least recently used first to go.

A sequence is admitted once the rows are there that its prompt still needs, and holds them until its prompt is computed.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.api import PlacedImage
from engine.embedded.sequence import Sequence
from models.images import step_of
from models.stacks.tiles import CrossVisionStack, TiledState
from models.stacks.vision import VisionStack, VisionState

MOST_BYTES = 256 << 20  # of rows that are remembered

Rows = tuple[Tensor, ...]  # rows_ND, and those for each of the first layers that takes some


@dataclass(slots=True)
class Job:
    """An image that is being read for a sequence, tile by tile, or all tiles together."""

    sequence: Sequence
    placed: PlacedImage
    key: bytes
    tiles: list[Rows] = field(default_factory=list[Rows])
    state: VisionState | TiledState | None = None


class VisionEncoder:
    """Used by the engine's thread alone."""

    def __init__(self, vision: VisionStack | CrossVisionStack, device: torch.device, most_bytes: int = MOST_BYTES) -> None:
        self._vision, self._device, self._most = vision, device, most_bytes
        self._rows: OrderedDict[bytes, Rows] = OrderedDict()
        self._bytes = 0
        self._job: Job | None = None
        self.read = self.found = 0  # images since start: that were read, and whose rows were there

    def ready(self, seq: Sequence, computed: int) -> bool:
        """Whether all rows are there that `seq` needs behind its first `computed` tokens, of which it takes hold. Otherwise those that
        are not there are read next, unless another image is being read."""
        for i, placed in enumerate(seq.request.images):
            if placed.at + placed.rows <= computed or i in seq.image_rows:
                continue
            rows = self._find(key := _key(seq, placed))
            if rows is None:
                if self._job is None:
                    self._job = Job(seq, placed, key)
                return False
            seq.image_rows[i] = rows
        return True

    def forget(self, seq: Sequence) -> None:
        """The sequence is no more, or begins again: what it held is let go, and what was being read for it is not read on."""
        seq.image_rows.clear()
        if self._job is not None and self._job.sequence is seq:
            self._job = None

    def work(self) -> None:
        """Takes one tile of the image that is being read through half a layer, or all that are read together."""
        if self._job is None:
            return
        match self._vision:
            case VisionStack() as vision:
                self._by_tile(self._job, vision)
            case vision:
                self._together(self._job, vision)

    def _by_tile(self, job: Job, vision: VisionStack) -> None:
        image = job.placed.image
        if not isinstance(job.state, VisionState):
            tile_CHW = self._tensor(image.values[len(job.tiles)])
            job.state = vision.begin(*step_of([tile_CHW], vision.spec.patches))
        elif not vision.done(job.state):
            job.state = vision.advance(job.state)
        else:
            job.tiles.append(vision.end(job.state))
            job.state = None
            if len(job.tiles) == len(image.values):
                rows = tuple(torch.cat(parts) for parts in zip(*job.tiles, strict=True))
                laid_out = vision.laid_out(rows[0], image.values.shape[2], (image.grid, image.size))
                self._finish(job, (laid_out, *rows[1:]))

    def _together(self, job: Job, vision: CrossVisionStack) -> None:
        image = job.placed.image
        if not isinstance(job.state, TiledState):
            job.state = vision.begin(self._tensor(image.values), image.grid)
        elif not vision.done(job.state):
            job.state = vision.advance(job.state)
        else:
            self._finish(job, (vision.end(job.state),))

    def _tensor(self, values: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.array(values, np.float32)).to(self._device)

    def _finish(self, job: Job, rows: Rows) -> None:
        """The sequence holds the rows even where they are too many to be remembered."""
        number = next(i for i, placed in enumerate(job.sequence.request.images) if placed is job.placed)
        job.sequence.image_rows[number] = rows
        self._remember(job.key, rows)
        self._job = None
        self.read += 1

    def _find(self, key: bytes) -> Rows | None:
        rows = self._rows.get(key)
        if rows is not None:
            self._rows.move_to_end(key)
            self.found += 1
        return rows

    def _remember(self, key: bytes, rows: Rows) -> None:
        self._rows[key] = rows
        self._bytes += _size(rows)
        while self._bytes > self._most:
            _, oldest = self._rows.popitem(last=False)
            self._bytes -= _size(oldest)


def _key(seq: Sequence, placed: PlacedImage) -> bytes:
    """Nobody can tell by the time it takes what another has shown."""
    return blake2b(placed.image.digest, digest_size=16, salt=seq.salt).digest()


def _size(rows: Rows) -> int:
    return sum(tensor.numel() * tensor.itemsize for tensor in rows)
