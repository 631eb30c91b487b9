"""Who guesses tokens before they are chosen."""

from collections.abc import Sequence as Several
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engine.embedded.sequence import Sequence


class Drafter(Protocol):
    def draft(self, wanted: "Several[tuple[Sequence, int]]") -> list[NDArray[np.int64]]:
        """Of each sequence at most so many tokens that may follow those known; none where there is no guess worth a try."""
        ...
