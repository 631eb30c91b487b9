"""Which rows of a text's images each of its tokens looks at, where layers look at images (models.spec.CrossVision). Images' rows lie behind
one another, those of all black tiles behind all others: what a token sees is one run of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from models.batch import Crossing


@dataclass(frozen=True)
class LookedAt:
    """Of one text. `marks`: where its images' tokens stand, in order; `shown`: rows of each that show something; `rows`: of each one, black
    tiles included."""

    marks: tuple[int, ...]
    shown: tuple[int, ...]
    rows: int

    def of(self, first: int, end: int) -> Crossing:
        """Of its tokens from `first` to `end`, those of an answer included."""
        before_T = torch.bucketize(torch.arange(first, end), torch.tensor(self.marks, dtype=torch.int64), right=True)
        first_T, end_T = self._runs[:, before_T]
        return Crossing(first_T, end_T, before_T > 0)

    def joined(self, images: Sequence[Tensor]) -> Tensor:
        """rows_MD of all images."""
        shown = [rows_MD[:count] for rows_MD, count in zip(images, self.shown, strict=True)]
        return torch.cat([*shown, *(rows_MD[count:] for rows_MD, count in zip(images, self.shown, strict=True))])

    @cached_property
    def _runs(self) -> Tensor:
        """int64 [2, images + 1]: the rows that a token looks at, by how many images stand at or before it."""
        ends = torch.tensor([0, *self.shown]).cumsum(0).tolist()
        runs, begin = [(0, self.rows * len(self.marks))], 0
        for i, mark in enumerate(self.marks):
            begin = begin if i and self.marks[i - 1] == mark - 1 else i
            runs.append((ends[begin], ends[i + 1]))
        return torch.tensor(runs).T
